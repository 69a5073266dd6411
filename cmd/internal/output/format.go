// Package output owns how commands print: values, jobs and progress, none of which can
// steer a terminal.
package output

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"
)

// Rate has no more digits than are significant, and some of one that is slow.
func Rate(rows float64) string {
	if rows > 0 && rows < 10 {
		return fmt.Sprintf("%.2g", rows)
	}
	return fmt.Sprintf("%.0f", rows)
}

// SchemaVersion is that of all JSON that commands print. It changes when a key goes or
// means something else; new keys may come at any time.
const SchemaVersion = 1

// WriteJSON writes an object as JSON, indented, with "schema_version" before its keys.
func WriteJSON(w io.Writer, v any) error {
	text, err := versioned(v)
	if err != nil {
		return err
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, text, "", "  "); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	indented.WriteByte('\n')
	if _, err := w.Write(indented.Bytes()); err != nil && !errors.Is(err, syscall.EPIPE) { // not to read it is for the reader to decide
		return fmt.Errorf("write JSON: %w", err)
	}
	return nil
}

// WriteJSONLine writes what WriteJSON does in one line. A reader that has gone away is
// syscall.EPIPE: there may be no end of lines.
func WriteJSONLine(w io.Writer, v any) error {
	text, err := versioned(v)
	if err != nil {
		return err
	}
	if _, err := w.Write(append(text, '\n')); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	return nil
}

// versioned is an object in JSON, with the version of its schema before its keys.
func versioned(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // conditions stay readable
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("write JSON: %w", err)
	}

	keys, ok := bytes.CutPrefix(bytes.TrimSpace(b.Bytes()), []byte("{"))
	if !ok {
		return nil, fmt.Errorf("write JSON: a %T is no object", v)
	}
	text := fmt.Appendf(nil, `{"schema_version":%d`, SchemaVersion)
	if !bytes.HasPrefix(keys, []byte("}")) {
		text = append(text, ',')
	}
	return append(text, keys...), nil
}

// Round shortens a duration to what a person reads.
func Round(d time.Duration) time.Duration {
	switch {
	case d > 10*time.Second:
		return d.Round(100 * time.Millisecond)
	case d > 10*time.Millisecond:
		return d.Round(time.Millisecond)
	}
	return d.Round(time.Microsecond)
}
