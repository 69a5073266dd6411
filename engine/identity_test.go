package engine_test

import (
	"testing"

	"github.com/chunkfill/chunkfill/jobs"
)

// A host may change its driver while a job is in the middle, or done. With an older one
// PathJSON needs another expression, and is the same job.
// Planted and caught with the oldest driver: the expression taken as it is.
func TestPathJSONIsOneJobWithEachDriver(t *testing.T) {
	db := open(t, "CREATE TABLE packets (id INTEGER PRIMARY KEY, raw_hex TEXT, path_json TEXT)",
		"INSERT INTO packets (raw_hex) VALUES ('15421D2C')")
	result, err := newEngine(t, db, sole).Run(testContext(t), jobs.PathJSON("paths", "packets"))
	if err != nil {
		t.Fatal(err)
	}
	if want := "2:cc501f4eca039c3ad8651bb0c8b38ba5.f6a53063b8ec93ad2db50559c13da2f3"; result.Fingerprint != want {
		t.Errorf("fingerprint %s, want %s", result.Fingerprint, want)
	}
	if want := jobs.PathJSON("paths", "packets").Where; result.Definition != "UPDATE packets SET path_json = chunkfill_path_json(raw_hex) WHERE "+want {
		t.Errorf("definition %q", result.Definition)
	}
	wantValue(t, db, `["1D2C"]`, "SELECT path_json FROM packets")
}
