package undo

import (
	"encoding/json"

	"github.com/chunkfill/chunkfill/engine"
)

// result is the result of an undo as JSON has it.
type result struct {
	engine.UndoResult
	List string
}

// MarshalJSON implements [json.Marshaler]: all keys are always there.
func (r result) MarshalJSON() ([]byte, error) {
	reasons := map[string]int64{}
	for _, reason := range r.NotBack {
		reasons[reason.Name] = reason.Rows
	}
	var list *string
	if r.List != "" {
		list = &r.List
	}
	return json.Marshal(struct {
		Name       string           `json:"name"`
		Job        string           `json:"undo_job"`
		PutBack    int64            `json:"rows_put_back"`
		NotPutBack int64            `json:"rows_not_put_back"`
		Reasons    map[string]int64 `json:"reasons"`
		Triggers   []string         `json:"triggers"`
		List       *string          `json:"list"`
	}{r.Name, engine.UndoName(r.Name), r.PutBack, r.NotPutBack(), reasons, append([]string{}, r.Triggers...), list})
}
