package preflight

import (
	"errors"
	"fmt"
	"strings"

	"github.com/chunkfill/chunkfill/cmd/internal/preflight/sqlscan"
	"github.com/chunkfill/chunkfill/cmd/internal/preflight/waiver"
)

// finding returns a finding described entirely by its rule.
func (u *unit) finding(code string, line int, text string) Finding {
	rule := ruleOf(code)
	return Finding{Code: code, Name: rule.Name, Path: u.Path, Line: line, Column: 1, EndLine: line,
		Statement: oneLine(text), Why: rule.Why, Fix: []string{rule.Fix}}
}

func (u *unit) statementFinding(h hit, code string, lost bool) Finding {
	f := u.finding(code, h.start, h.text)
	f.Column, f.EndLine, f.Cost = h.column, h.end, h.Cost
	f.Why = why(f.Why, h)
	if lost {
		f.Why = "this change removes the call or annotation that accepted it; " + f.Why
	}
	f.Fix = u.fixes(h)
	return f
}

// why adds what is known about this statement to what is known about its kind.
func why(general string, h hit) string {
	switch {
	case h.Kind == sqlscan.Unread:
		return h.Problem
	case h.Kind == sqlscan.CreateIndex && h.IfNotExists:
		return general + "; IF NOT EXISTS makes it no cheaper where the index does not exist"
	case (h.Kind == sqlscan.Update || h.Kind == sqlscan.Delete) && len(h.Pinned) > 0 && h.Table != "":
		columns := strings.Join(h.Pinned, ", ")
		return fmt.Sprintf("%s; it selects by %s, which is not a known key of %s (if it is one, add it under keys in %s)",
			general, columns, h.Table, ConfigName)
	}
	return general
}

// fixes returns the ways to resolve a finding, ready to paste: a command, then the forms of
// [Ways].
func (u *unit) fixes(h hit) []string {
	mark, list := "--", []string(nil)
	if u.isGo {
		mark, list = "//", []string{fmt.Sprintf("chunkfill preflight suggest %s:%d", u.Path, h.start)}
	}
	return append(list, mark+` PREFLIGHT: async=true reason="…"`, "PREFLIGHT-MIGRATION-SCALE: <30s N=…")
}

// complaint returns the code of the rule that an annotation breaks, or "".
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
		f.Why = said(n.err)
	case n.stray:
		f.Why = "it follows code or is in a /* */ comment, where it has no effect"
	}
	return f
}

func scaleFinding(code string, s waiver.Scale) Finding {
	f := (&unit{Source: Source{Path: BodyName}}).finding(code, s.Line, s.Text)
	if s.Err != nil {
		f.Why = said(s.Err)
	}
	return f
}

// said strips what the rule's name already says.
func said(err error) string {
	return strings.TrimPrefix(err.Error(), waiver.ErrMalformed.Error()+": ")
}
