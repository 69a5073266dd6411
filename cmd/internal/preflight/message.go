package preflight

import (
	"errors"
	"fmt"

	"github.com/chunkfill/chunkfill/cmd/internal/preflight/sqlscan"
	"github.com/chunkfill/chunkfill/cmd/internal/preflight/waiver"
)

// finding begins one that its rule says all about.
func (u *unit) finding(code string, line int, text string) Finding {
	rule := ruleOf(code)
	return Finding{Code: code, Name: rule.Name, Path: u.Path, Line: line, Column: 1, EndLine: line,
		Statement: oneLine(text), Why: rule.Why, Fix: []string{rule.Fix}}
}

func (c *checker) statementFinding(u *unit, h hit, code string, lost bool) Finding {
	f := u.finding(code, h.start, h.text)
	f.Column, f.EndLine, f.Cost = h.column, h.end, h.Cost
	f.Why = why(f.Why, h)
	if lost {
		f.Why = "this change takes away the call or annotation that accepted it; " + f.Why
	}
	mark := "//"
	if u.code == nil {
		mark = "--"
	}
	f.Fix = fixes(f, h, mark)
	return f
}

// why adds what is known of this statement to what is known of its kind.
func why(general string, h hit) string {
	switch {
	case h.Kind == sqlscan.CreateIndex && h.IfNotExists:
		return general + "; IF NOT EXISTS does not make it cheaper where it does not exist"
	case (h.Kind == sqlscan.Update || h.Kind == sqlscan.Delete) && len(h.Pinned) > 0 && h.Table != "":
		return fmt.Sprintf("%s; no key of %s is known that %v would be; if it is one, say so under keys in %s", general, h.Table, h.Pinned, ConfigName)
	}
	return general
}

// fixes are the ways out, to be pasted.
func fixes(f Finding, h hit, mark string) []string {
	var list []string
	if h.Kind == sqlscan.Update || h.Kind == sqlscan.Delete {
		list = append(list, fmt.Sprintf("chunkfill preflight suggest %s:%d   prints it as a chunked job", f.Path, f.Line))
	}
	if mark == "//" {
		list = append(list, `store.RunAsyncMigration(ctx, "name_v1", func(ctx context.Context, db *sql.DB) error { … })   around it`)
	}
	return append(list,
		mark+` PREFLIGHT: async=true reason="…"   directly above it`,
		`PREFLIGHT-MIGRATION-SCALE: <30s N=…   in the body of the pull request, as measured`)
}

// complaint is the rule that an annotation breaks, or "".
func (n note) complaint() string {
	switch {
	case errors.Is(n.err, waiver.ErrReason):
		return codeReason
	case n.err != nil:
		return codeAnnotation
	case !n.needed:
		return codeUnused
	}
	return ""
}

func (u *unit) noteFinding(code string, n note) Finding {
	f := u.finding(code, n.line, n.text)
	switch {
	case n.err != nil:
		f.Why = n.err.Error()
	case n.stray:
		f.Why = "it stands behind code or in a /* */ comment, where it covers nothing"
	}
	return f
}

func scaleFinding(code string, s waiver.Scale) Finding {
	f := (&unit{Source: Source{Path: BodyName}}).finding(code, s.Line, s.Text)
	if s.Err != nil {
		f.Why = s.Err.Error()
	}
	return f
}
