package engine

import (
	"bytes"
	"encoding/json"

	"github.com/chunkfill/chunkfill"
)

// MarshalJSON implements [json.Marshaler]. It leaves it to the encoder around it whether <
// and > are escaped: conditions have them, and people read them.
func (d DryRunResult) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)

	var matching *int64
	if d.Matching >= 0 {
		matching = &d.Matching
	}
	var image *int64
	if d.ImageBytes >= 0 {
		image = &d.ImageBytes
	}
	err := enc.Encode(struct {
		Table     string          `json:"table"`
		Key       string          `json:"key"`
		Rows      int64           `json:"rows"`
		Matching  *int64          `json:"matching"`
		Statement string          `json:"statement"`
		Plan      []string        `json:"plan"`
		Begun     chunkfill.Phase `json:"begun"`
		Image     *int64          `json:"image_bytes"`
	}{d.Table, d.Key, d.Rows, matching, d.Statement, d.Plan, d.Begun, image})
	return b.Bytes(), err
}
