package report_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/chunkfill/chunkfill/cmd/internal/preflight"
	"github.com/chunkfill/chunkfill/cmd/internal/preflight/report"
)

// many is a report of more findings than GitHub shows, one of them awkward.
func many() *preflight.Report {
	r := &preflight.Report{Files: 3, Accepted: map[string]int{"annotated": 2}, Foreign: map[string][]string{"MySQL": {"m.sql"}},
		Hints: []preflight.Hint{{Path: "a.go", Line: 3, Files: 2, Text: "GORM makes\nSQL"}}}
	for i := range 12 {
		r.Findings = append(r.Findings, preflight.Finding{Code: "PF105", Name: "update", Path: "db/a,b:c%.go", Line: i + 1, Column: 3, EndLine: i + 2,
			Statement: "UPDATE t SET a = '|`<b>::error::x%\r\n'", Cost: "rewrite", Why: "it\nmatters", Fix: []string{"this", "or that"}})
	}
	r.Findings = append(r.Findings, preflight.Finding{Code: "PF204", Name: "scale-malformed", Path: preflight.BodyName, Line: 4, Column: 1, EndLine: 4,
		Statement: "PREFLIGHT-MIGRATION-SCALE: soon", Why: "half", Fix: []string{"write it"}})
	return r
}

func text(t *testing.T, format string, r *preflight.Report) (out, summary string) {
	t.Helper()
	var o, s bytes.Buffer
	if err := report.Write(&o, &s, format, r); err != nil {
		t.Fatal(err)
	}
	return o.String(), s.String()
}

// Planted: an eleventh annotation, line ends not escaped (a second command).
func TestGitHub(t *testing.T) {
	out, summary := text(t, "github", many())
	var commands int
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "::") && !strings.HasPrefix(line, "::notice") {
			commands++
			if !strings.HasPrefix(line, "::error file=db/a%2Cb%3Ac%25.go,line=") {
				t.Error(line)
			}
		}
	}
	if commands != 10 || strings.Count(out, "\n") != 13 || !strings.Contains(out, "::notice file=a.go,line=3,title=not read::GORM makes%0ASQL\n") {
		t.Errorf("%d annotations, want 10, in:\n%s", commands, out)
	}
	if rows := strings.Count(summary, "\n| <code>"); rows != 13 || !strings.Contains(summary, "&#124;&#96;&lt;b&gt;") {
		t.Errorf("%d rows, want 13, in:\n%s", rows, summary)
	}
}

func TestJSON(t *testing.T) {
	out, _ := text(t, "json", many())
	var doc struct {
		Findings []struct {
			Code, Name, File, Statement, Cost, Why string
			Line, Column, EndLine                  int
			Fix                                    []string
		}
		Files    int
		Accepted map[string]int

		LeftAlone map[string][]string
		NotRead   []struct {
			File, Text  string
			Line, Files int
		}
	}
	d := json.NewDecoder(strings.NewReader(out))
	d.DisallowUnknownFields()
	if err := d.Decode(&doc); err != nil {
		t.Fatal(err)
	}
	if f := doc.Findings; len(f) != 13 || f[1].Line != 2 || f[1].EndLine != 3 || f[0].Cost != "rewrite" || doc.Accepted["annotated"] != 2 || len(doc.LeftAlone["MySQL"]) != 1 || len(doc.NotRead) != 1 || doc.NotRead[0].Line != 3 {
		t.Errorf("%+v", doc)
	}
	if out, _ = text(t, "json", &preflight.Report{}); !strings.Contains(out, `"findings": []`) {
		t.Errorf("no findings are no list: %s", out)
	}
}

// TestSARIF checks what the standard and GitHub's upload require.
func TestSARIF(t *testing.T) {
	out, _ := text(t, "sarif", many())
	var log struct {
		Version string `json:"version"`
		Runs    []struct {
			Tool struct {
				Driver struct {
					Name  string
					Rules []struct{ ID string }
				}
			}
			Results []struct {
				RuleID, Level string
				Message       struct{ Text string }
				Locations     []struct {
					PhysicalLocation struct {
						ArtifactLocation struct{ URI string }
						Region           struct{ StartLine, StartColumn, EndLine int }
					}
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(out), &log); err != nil || log.Version != "2.1.0" || len(log.Runs) != 1 {
		t.Fatalf("%v in %s", err, out)
	}
	run := log.Runs[0]
	known := fmt.Sprint(run.Tool.Driver.Rules)
	for i, r := range run.Results {
		if !strings.Contains(known, r.RuleID) || r.Message.Text == "" || r.Level != "error" {
			t.Errorf("result %d: %+v", i, r)
		}
	}
	if len(run.Results) != 13 || len(run.Results[12].Locations) != 0 {
		t.Errorf("%d results; the body is no file: %+v", len(run.Results), run.Results[12])
	}
	if uri := run.Results[0].Locations[0].PhysicalLocation.ArtifactLocation.URI; uri != "db/a,b:c%25.go" {
		t.Errorf("URI %s", uri)
	}
}

func TestTextSaysTheFormsOnce(t *testing.T) {
	out, _ := text(t, "text", many())
	if strings.Count(out, "A statement needs one of") != 1 || !strings.HasSuffix(out, "note: GORM makes\nSQL (a.go:3, 2 files)\npreflight: 13 findings (3 files, 2 statements annotated, 1 file left alone as MySQL)\n") {
		t.Error(out)
	}
	if out, _ = text(t, "text", &preflight.Report{Files: 1}); out != "preflight: clean (1 file)\n" {
		t.Error(out)
	}
}

func TestUnknownFormat(t *testing.T) {
	if err := report.Write(nil, nil, "xml", &preflight.Report{}); err == nil || !strings.Contains(err.Error(), "sarif") {
		t.Error(err)
	}
}
