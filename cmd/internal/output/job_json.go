package output

import (
	"bytes"
	"encoding/json"

	"github.com/chunkfill/chunkfill"
)

// Job is a job as commands print it in JSON: its status, with "owner_alive" behind it.
type Job struct {
	chunkfill.Status
	OwnerAlive *bool // whether anybody runs it now; nil where that cannot be told
}

// MarshalJSON implements [json.Marshaler]: the keys of the status and one more.
func (j Job) MarshalJSON() ([]byte, error) {
	status, err := j.Status.MarshalJSON()
	if err != nil {
		return nil, err
	}
	alive, err := json.Marshal(j.OwnerAlive)
	if err != nil {
		return nil, err
	}

	text := bytes.TrimSuffix(bytes.TrimSpace(status), []byte("}"))
	text = append(text, `,"owner_alive":`...)
	return append(append(text, alive...), '}'), nil
}
