package throttle_test

import (
	"strings"
	"testing"
)

// checkNamed wants an error that names something, or none for "".
func checkNamed(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("unexpected error: %v", err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("error %v does not name %s", err, want)
	}
}
