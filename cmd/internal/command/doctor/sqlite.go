package doctor

import "context"

// aboutSQLite knows the version of this command, and of others what the file says: each
// writes its version there with the first page. The service may have another all the same.
func aboutSQLite(ctx context.Context, p *patient) ([]finding, error) {
	var here string
	if err := p.ask(ctx, "SELECT sqlite_version()", &here); err != nil {
		return nil, err
	}
	text := here + ", in this command"
	if p.closed.writtenBy != "" {
		text += "; " + p.closed.writtenBy + " was the last to write the file's header"
	}

	found := []finding{fine("%s", text)}
	for _, v := range distinct(here, p.closed.writtenBy) {
		for _, b := range bugsOf(parseVersion(v)) {
			found = append(found, fine("%s has %s", v, b.what).advise(
				"SQLite %s has %s, which %s: use %v or later where that version is (%s)", v, b.what, b.does, b.fixed, b.document))
		}
	}
	return found, nil
}

func distinct(a, b string) []string {
	if b == "" || a == b {
		return []string{a}
	}
	return []string{a, b}
}

func aboutJournal(ctx context.Context, p *patient) ([]finding, error) {
	var mode string
	if err := p.ask(ctx, "PRAGMA main.journal_mode", &mode); err != nil {
		return nil, err
	}
	f := fine("%s", mode)
	if mode != "wal" {
		f = f.advise("no job can run without a write-ahead log: set `PRAGMA journal_mode = wal` on the database")
	}
	return []finding{f}, nil
}

func aboutPageSize(ctx context.Context, p *patient) ([]finding, error) {
	var bytes int
	if err := p.ask(ctx, "PRAGMA main.page_size", &bytes); err != nil {
		return nil, err
	}
	return []finding{fine("%d bytes", bytes)}, nil
}

func aboutVacuum(ctx context.Context, p *patient) ([]finding, error) {
	var mode int
	if err := p.ask(ctx, "PRAGMA main.auto_vacuum", &mode); err != nil {
		return nil, err
	}
	switch mode {
	case 0:
		return []finding{fine("none")}, nil
	case 2:
		return []finding{fine("incremental")}, nil
	}
	return []finding{fine("full").advise(
		"auto_vacuum is full: each commit of a job that frees pages moves others as well, inside its hold; " +
			"`PRAGMA auto_vacuum = incremental` leaves that to `PRAGMA incremental_vacuum`")}, nil
}

// aboutConnections says what is not in the file.
func aboutConnections(context.Context, *patient) ([]finding, error) {
	return []finding{untold("synchronous, busy_timeout, wal_autocheckpoint, foreign_keys and cache_size belong to each connection; " +
		"those of the service cannot be read from another process")}, nil
}
