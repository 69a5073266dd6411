package preflight

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/chunkfill/chunkfill/cmd/internal/preflight/goscan"
	"github.com/chunkfill/chunkfill/cmd/internal/preflight/sqlscan"
)

// Dialects lists the values of --dialect and of the configuration: determine the database
// of each file by its folder, driver or syntax, or assume that all files are for SQLite.
var Dialects = []string{"auto", "sqlite"}

// databases maps names in paths to databases.
var databases = map[string]string{
	"sqlite": sqlite, "sqlite3": sqlite, "libsql": sqlite, "turso": sqlite,
	"postgres": sqlscan.PostgreSQL, "postgresql": sqlscan.PostgreSQL, "pgsql": sqlscan.PostgreSQL, "pg": sqlscan.PostgreSQL, "psql": sqlscan.PostgreSQL,
	"pgx": sqlscan.PostgreSQL, "cockroach": "CockroachDB", "cockroachdb": "CockroachDB", "crdb": "CockroachDB",
	"mysql": sqlscan.MySQL, "mariadb": sqlscan.MySQL, "mssql": sqlscan.SQLServer, "sqlserver": sqlscan.SQLServer,
	"oracle": "Oracle", "clickhouse": "ClickHouse", "snowflake": "Snowflake", "duckdb": "DuckDB", "spanner": "Spanner",
	"bigquery": "BigQuery", "redshift": "Redshift", "cassandra": "Cassandra",
}

const sqlite = "SQLite"

// drivers lists packages that talk to a database, by the prefix of their paths.
var drivers = []struct{ path, database string }{
	{"modernc.org/sqlite", sqlite}, {"github.com/mattn/go-sqlite3", sqlite}, {"zombiezen.com/go/sqlite", sqlite}, {"crawshaw.io/sqlite", sqlite},
	{"github.com/glebarez/", sqlite}, {"github.com/ncruces/go-sqlite3", sqlite}, {"gorm.io/driver/sqlite", sqlite}, {"github.com/tursodatabase/", sqlite},
	{"github.com/golang-migrate/migrate/v4/database/sqlite", sqlite}, {"entgo.io/ent/dialect/sqlite", sqlite},
	{"github.com/jackc/pgx", sqlscan.PostgreSQL}, {"github.com/jackc/pgconn", sqlscan.PostgreSQL}, {"github.com/lib/pq", sqlscan.PostgreSQL},
	{"github.com/go-pg/pg", sqlscan.PostgreSQL}, {"gorm.io/driver/postgres", sqlscan.PostgreSQL},
	{"github.com/golang-migrate/migrate/v4/database/postgres", sqlscan.PostgreSQL}, {"github.com/golang-migrate/migrate/v4/database/pgx", sqlscan.PostgreSQL},
	{"github.com/go-sql-driver/mysql", sqlscan.MySQL}, {"gorm.io/driver/mysql", sqlscan.MySQL}, {"github.com/golang-migrate/migrate/v4/database/mysql", sqlscan.MySQL},
	{"github.com/microsoft/go-mssqldb", sqlscan.SQLServer}, {"github.com/denisenkom/go-mssqldb", sqlscan.SQLServer}, {"gorm.io/driver/sqlserver", sqlscan.SQLServer},
	{"github.com/ClickHouse/", "ClickHouse"}, {"github.com/godror/godror", "Oracle"}, {"github.com/sijms/go-ora", "Oracle"}, {"github.com/marcboeker/go-duckdb", "DuckDB"},
	{"github.com/duckdb/duckdb-go", "DuckDB"}, {"cloud.google.com/go/spanner", "Spanner"}, {"github.com/gocql/gocql", "Cassandra"}, {"github.com/snowflakedb/", "Snowflake"},
}

var wordsOf = regexp.MustCompile(`[A-Za-z0-9]+`)

// namedAfter returns the database that a path is named after; the nearest name counts. A
// name that contains two databases says nothing.
func namedAfter(name string) string {
	for ; name != "." && name != "/" && name != ""; name = path.Dir(name) {
		var found []string
		for _, word := range wordsOf.FindAllString(strings.ToLower(path.Base(name)), -1) {
			if d := databases[word]; d != "" && !slices.Contains(found, d) {
				found = append(found, d)
			}
		}
		if len(found) == 1 {
			return found[0]
		}
		if len(found) > 1 {
			return ""
		}
	}
	return ""
}

var aboutSQLite = regexp.MustCompile(`(?i)sqlite`)

func other(database string) string {
	if database == sqlite {
		return ""
	}
	return database
}

// foreignFile returns the database that a SQL file is for, or "" if it is, or may be,
// SQLite. A statement that only another database understands makes the file one for that
// database: SQLite could not run it.
func foreignFile(name string, statements []sqlscan.Statement) string {
	if named := namedAfter(name); named != "" {
		return other(named)
	}
	return foreignText(statements, true)
}

// foreignText is the same for a string of a program. A possible mistake is no evidence next
// to a statement that SQLite accepts.
func foreignText(statements []sqlscan.Statement, executed bool) string {
	own := slices.ContainsFunc(statements, func(s sqlscan.Statement) bool { return s.Dialect == "" })
	for _, s := range statements {
		if s.Dialect != "" && (s.Certain || executed) && !(s.Slip && own) {
			return s.Dialect
		}
	}
	return ""
}

// foreignGo goes by the drivers that a Go file imports, or else by its path. A file that
// imports several may be for any of them, and one that mentions SQLite may be for SQLite.
func foreignGo(name string, text []byte, imports []goscan.Import) string {
	var found []string
	for _, i := range imports {
		for _, d := range drivers {
			if !i.Slight && strings.HasPrefix(i.Path, d.path) && !slices.Contains(found, d.database) {
				found = append(found, d.database)
			}
		}
	}
	switch len(found) {
	case 0:
		return other(namedAfter(name))
	case 1:
		if other(found[0]) == "" || aboutSQLite.Match(text) && namedAfter(name) != found[0] {
			return ""
		}
		return found[0]
	}
	if slices.Contains(found, sqlite) || aboutSQLite.Match(text) {
		return ""
	}
	return strings.Join(found, " or ")
}
