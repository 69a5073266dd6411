CREATE TABLE _async_migration_schema (version INTEGER NOT NULL);
INSERT INTO _async_migration_schema VALUES (0);
CREATE TABLE _async_migration_checkpoints (
			name TEXT PRIMARY KEY,
			run_id TEXT NOT NULL,
			fingerprint TEXT NOT NULL,
			definition TEXT NOT NULL,
			table_name TEXT NOT NULL,
			owner_pid INTEGER NOT NULL,
			owner_host TEXT NOT NULL,
			owner_since TEXT NOT NULL,
			phase TEXT NOT NULL,
			reason TEXT NOT NULL DEFAULT '',
			error TEXT NOT NULL DEFAULT '',
			lower_bound TEXT NOT NULL DEFAULT '',
			upper_bound TEXT NOT NULL DEFAULT '',
			cursor TEXT NOT NULL DEFAULT '',
			pass INTEGER NOT NULL DEFAULT 1,
			total_rows INTEGER NOT NULL DEFAULT 0,
			rows_scanned INTEGER NOT NULL DEFAULT 0,
			rows_changed INTEGER NOT NULL DEFAULT 0,
			rows_quarantined INTEGER NOT NULL DEFAULT 0,
			rows_left INTEGER NOT NULL DEFAULT -1,
			batches INTEGER NOT NULL DEFAULT 0,
			batch_rows INTEGER NOT NULL DEFAULT 0,
			working_us INTEGER NOT NULL DEFAULT 0,
			throttled_us INTEGER NOT NULL DEFAULT 0,
			paused_us INTEGER NOT NULL DEFAULT 0,
			control TEXT NOT NULL DEFAULT '',
			control_by TEXT NOT NULL DEFAULT '',
			control_reason TEXT NOT NULL DEFAULT '',
			target_hold_us INTEGER NOT NULL DEFAULT 0,
			max_rate REAL NOT NULL DEFAULT 0,
			created_at TEXT NOT NULL,
			updated_at TEXT NOT NULL
		) WITHOUT ROWID;
CREATE TABLE _async_migration_events (
			id INTEGER PRIMARY KEY,
			name TEXT NOT NULL,
			at TEXT NOT NULL,
			event TEXT NOT NULL,
			by TEXT NOT NULL DEFAULT '',
			detail TEXT NOT NULL DEFAULT ''
		);
CREATE INDEX _async_migration_events_name ON _async_migration_events (name, id);
CREATE TABLE _async_migration_quarantine (
			name TEXT NOT NULL,
			key TEXT NOT NULL,
			error TEXT NOT NULL,
			attempts INTEGER NOT NULL DEFAULT 1,
			at TEXT NOT NULL,
			PRIMARY KEY (name, key)
		) WITHOUT ROWID;
CREATE TABLE _async_migration_samples (
			name TEXT NOT NULL,
			slot INTEGER NOT NULL,
			at TEXT NOT NULL,
			rows_scanned INTEGER NOT NULL,
			batch_rows INTEGER NOT NULL,
			hold_us INTEGER NOT NULL,
			wait_us INTEGER NOT NULL,
			wal_bytes INTEGER NOT NULL,
			PRIMARY KEY (name, slot)
		) WITHOUT ROWID;
UPDATE _async_migration_schema SET version = 1;
