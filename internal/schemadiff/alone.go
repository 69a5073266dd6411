package schemadiff

import (
	"context"
	"fmt"
	"path"
	"strings"

	"github.com/chunkfill/chunkfill/internal/lite"
)

// Alone is a table that is neither compared nor touched.
type Alone struct {
	Table string `json:"table"`
	Why   string `json:"why"`
}

const (
	sqliteOwn    = "SQLite's own"
	chunkfillOwn = "chunkfill's own"
	virtualData  = "the data of a virtual table"
)

// Obvious are reasons that need not be told to people.
var Obvious = []string{sqliteOwn, chunkfillOwn, virtualData}

// tools are tables that others look after, by pattern. Add a line for another tool.
var tools = []struct{ pattern, why string }{
	{"sqlite_*", sqliteOwn},
	{"_async_migration*", chunkfillOwn},
	{"_chunkfill_*", chunkfillOwn},
	{"_migrations", "a record of migrations"},
	{"_litestream_*", "litestream"},
	{"_cf_*", "Cloudflare D1"},
	{"d1_migrations", "Cloudflare D1"},
	{"crsql_*", "cr-sqlite"},
	{"__crsql_*", "cr-sqlite"},
	{"*__crsql_*", "cr-sqlite"},
	{"goose_db_version", "goose"},
	{"schema_migrations", "golang-migrate, dbmate, Rails"},
	{"atlas_schema_revisions", "atlas"},
	{"gorp_migrations", "sql-migrate"},
	{"_sqlx_migrations", "sqlx"},
	{"__diesel_schema_migrations", "diesel"},
	{"refinery_schema_history", "refinery"},
	{"ar_internal_metadata", "Rails"},
	{"django_migrations", "Django"},
	{"alembic_version", "alembic"},
	{"flyway_schema_history", "flyway"},
	{"databasechangelog", "liquibase"},
	{"databasechangeloglock", "liquibase"},
	{"knex_migrations*", "knex"},
	{"_prisma_migrations", "prisma"},
	{"sequelizemeta", "sequelize"},
	{"__drizzle_migrations", "drizzle"},
	{"__efmigrations*", "Entity Framework"},
}

// aloneness decides what is left alone.
type aloneness struct {
	ignore  []string        // patterns of the user
	shadows map[string]bool // tables in which virtual tables keep their data, by folded name
}

// CheckPattern reports what is wrong with a pattern of names.
func CheckPattern(pattern string) error {
	if _, err := path.Match(pattern, ""); err != nil || pattern == "" {
		return fmt.Errorf("%q is no pattern of names, such as 'audit_*'", pattern)
	}
	return nil
}

// why says why an object is left alone, "" if it is not.
func (a aloneness) why(o object) string {
	names := []string{lite.FoldName(o.name), lite.FoldName(o.table)}
	for _, name := range names {
		if a.shadows[name] {
			return virtualData
		}
		for _, pattern := range a.ignore {
			if ok, err := path.Match(lite.FoldName(pattern), name); ok && err == nil {
				return "ignored: " + pattern
			}
		}
	}
	for _, tool := range tools {
		for i, name := range names {
			if i == 0 && o.kind == "index" && strings.HasPrefix(name, "sqlite_autoindex_") {
				continue
			}
			if ok, _ := path.Match(tool.pattern, name); ok {
				return tool.why
			}
		}
	}
	return ""
}

// shadowTables are the tables in which virtual tables keep their data.
func shadowTables(ctx context.Context, q lite.Querier) (map[string]bool, error) {
	all := map[string]bool{}
	err := each(ctx, q, `SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'shadow' AND ? IS NOT NULL`, "", func(scan scanner) error {
		var name string
		err := scan(&name)
		all[lite.FoldName(name)] = true
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the list of tables: %w", err)
	}
	return all, nil
}
