package dataset

import (
	"context"
	"database/sql"
	"fmt"
	"iter"
)

// Verdict is the comparison of a table with the model of its Config.
type Verdict struct {
	Right   int `json:"right"`   // rows as they must be at the end
	Pending int `json:"pending"` // rows still as they were before the rewrite
	Wrong   int `json:"wrong"`   // rows that are neither, or missing
	// First describes the first wrong row; "" if there is none.
	First string `json:"first,omitempty"`
}

// Complete reports whether every row is as it must be at the end.
func (v Verdict) Complete() bool { return v.Pending == 0 && v.Wrong == 0 }

// Check reads the observations that Generate wrote for cfg and checks each of them. Rows
// added since, by a live load, are ignored. It only reads, in one query, and holds the
// connection for that long.
func Check(ctx context.Context, db *sql.DB, cfg Config) (Verdict, error) {
	if err := cfg.Validate(); err != nil {
		return Verdict{}, err
	}
	rows, err := db.QueryContext(ctx, `SELECT id, path_json, raw_hex, transmission_id, observer_idx
		FROM observations WHERE id BETWEEN 1 AND ? ORDER BY id`, cfg.withDefaults().Rows)
	if err != nil {
		return Verdict{}, fmt.Errorf("check observations: %w", err)
	}
	defer rows.Close()
	v, err := compare(&reader{rows: rows}, Model(cfg))
	if err != nil {
		return Verdict{}, fmt.Errorf("check observations: %w", err)
	}
	return v, nil
}

// compare walks both by id. The model has every id, so a row that is not the
// wanted one means that the wanted one is missing.
func compare(in *reader, model iter.Seq[Row]) (Verdict, error) {
	var v Verdict
	got, ok := in.next()
	for want := range model {
		if !ok || got.ID != want.ID {
			v.wrong(want, "is missing")
			continue
		}
		v.judge(got, want)
		got, ok = in.next()
	}
	return v, in.err
}

type reader struct {
	rows *sql.Rows
	err  error
}

func (r *reader) next() (row Row, ok bool) {
	if !r.rows.Next() {
		r.err = r.rows.Err()
		return row, false
	}
	r.err = r.rows.Scan(&row.ID, &row.PathJSON, &row.RawHex, &row.Transmission, &row.Observer)
	return row, r.err == nil
}

func (v *Verdict) judge(got, want Row) {
	switch {
	case got.RawHex != want.RawHex || got.Transmission != want.Transmission || got.Observer != want.Observer:
		v.wrong(want, "differs in a column that no rewrite touches")
	case got.PathJSON == want.Want:
		v.Right++
	case got.PathJSON == want.PathJSON:
		v.Pending++
	default:
		v.wrong(want, fmt.Sprintf("has path_json %q instead of %q", got.PathJSON.String, want.Want.String))
	}
}

func (v *Verdict) wrong(row Row, what string) {
	v.Wrong++
	if v.First == "" {
		v.First = fmt.Sprintf("observation %d %s", row.ID, what)
	}
}
