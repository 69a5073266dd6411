package reshape

import (
	"context"
	"fmt"

	"github.com/chunkfill/chunkfill/internal/lite"
)

// CountIndex counts the entries of the index of a job, and the rows that it is to have one of, both as they
// are at one moment. It reads the index, and the table by its own pages.
func (w Wanted) CountIndex(ctx context.Context, q lite.Querier) (name string, entries, rows int64, err error) {
	ix, err := parseIndex(Statements(w.Schema)[0])
	if err != nil {
		return "", 0, 0, err
	}
	where := ix.where()
	if where == "" {
		where = "1"
	}
	// A count(*) alone would be that of whatever is smallest, whatever INDEXED BY says.
	query := fmt.Sprintf("SELECT (SELECT count((%s) IS NULL) FROM %s INDEXED BY %s WHERE %s\n), (SELECT count(*) FROM %[2]s NOT INDEXED WHERE %[4]s\n)",
		ix.terms()[0], lite.Main(w.Table), lite.Ident(ix.Name), where)
	if err := q.QueryRowContext(ctx, query).Scan(&entries, &rows); err != nil {
		return ix.Name, 0, 0, fmt.Errorf("count the entries of %s: %w", ix.Name, err)
	}
	return ix.Name, entries, rows, nil
}
