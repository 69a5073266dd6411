package output

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/chunkfill/chunkfill"
)

// TestJSONHasAVersion: whatever a command prints as JSON begins with the version of its
// schema, in a line or indented, and conditions stay readable. Planted and caught: no comma
// behind the version, < as \u003c, a list that is written without a version.
func TestJSONHasAVersion(t *testing.T) {
	type rows struct {
		Where string `json:"where"`
	}
	for _, c := range []struct {
		value any
		line  string
	}{
		{rows{"a < b"}, `{"schema_version":1,"where":"a < b"}`},
		{struct{}{}, `{"schema_version":1}`},
	} {
		var line, indented bytes.Buffer
		if err := WriteJSONLine(&line, c.value); err != nil || line.String() != c.line+"\n" {
			t.Errorf("%v: %q, %v; want %q", c.value, &line, err, c.line)
		}
		if err := WriteJSON(&indented, c.value); err != nil || !strings.HasPrefix(indented.String(), "{\n  \"schema_version\": 1") {
			t.Errorf("%v: %q, %v", c.value, &indented, err)
		}
	}

	for _, v := range []any{[]int{1}, "text", nil} {
		if err := WriteJSONLine(io.Discard, v); err == nil {
			t.Errorf("%v is written without a version", v)
		}
	}
}

// TestJobJSON: a job in JSON has the keys of its status and whether anybody runs it, null
// where that cannot be told. Planted and caught: false in place of null.
func TestJobJSON(t *testing.T) {
	alive := true
	for _, c := range []struct {
		alive *bool
		want  any
	}{{nil, nil}, {&alive, true}, {new(bool), false}} {
		text, err := json.Marshal(Job{chunkfill.Status{Ledger: "done"}, c.alive})
		if err != nil {
			t.Fatal(err)
		}
		var keys map[string]any
		if err := json.Unmarshal(text, &keys); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		if got, ok := keys["owner_alive"]; !ok || got != c.want {
			t.Errorf("owner_alive %v, want %v", got, c.want)
		}
		if keys["ledger"] != "done" || keys["quarantine"] == nil {
			t.Errorf("keys of the status are missing: %s", text)
		}
	}
}
