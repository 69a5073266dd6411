package jobs_test

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/chunkfill/chunkfill/jobs"
)

// packets are worked out by hand from the format. Planted and caught: transport
// codes skipped for route type 1, hops counted from the top bits, a hop cut off
// that is kept, TRACE looked for in bits 3 to 6.
var packets = []struct {
	why, raw, path string
	trace          bool
}{
	{"flood, two hops of one byte", "05027D1D", `["7D","1D"]`, false},
	{"two hops of two bytes", "05427D1DDA2A", `["7D1D","DA2A"]`, false},
	{"one hop of three bytes", "0581ABCDEF", `["ABCDEF"]`, false},
	{"one hop of four bytes", "05C101020304", `["01020304"]`, false},
	{"route type 2 has no transport codes", "0602AABB", `["AA","BB"]`, false},
	{"route type 0 has", "0411223344017F", `["7F"]`, false},
	{"route type 3 has", "07AABBCCDD427D1DDA2A", `["7D1D","DA2A"]`, false},
	{"what follows the hops is payload", "0501AABBCCDD", `["AA"]`, false},
	{"lower case is made upper", "05427d1dda2a", `["7D1D","DA2A"]`, false},
	{"version bits do not matter", "C5027D1D", `["7D","1D"]`, false},
	{"no hops", "0500AABB", `[]`, false},
	{"no hops, four bytes each", "05C0AABBCCDD", `[]`, false},
	{"the third hop is cut off", "05037D1D", `["7D","1D"]`, false},
	{"half of the second hop is cut off", "05427D1DDA", `["7D1D"]`, false},
	{"all hops are cut off", "0505", `[]`, false},
	{"63 hops promised, one there", "053F99", `["99"]`, false},
	{"no path byte", "05", `[]`, false},
	{"the transport codes are cut off", "04112233", `[]`, false},
	{"nothing after the transport codes", "0411223344", `[]`, false},
	{"empty", "", `[]`, false},
	{"not hex", "no packet", `[]`, false},
	{"half a byte", "050", `[]`, false},
	{"hex, then not", "05027D1X", `[]`, false},
	{"a space", "05 02 7D 1D", `[]`, false},
	{"TRACE, each route type", "24", `[]`, true},
	{"TRACE", "25027D1D", `[]`, true},
	{"TRACE", "26027D1D", `[]`, true},
	{"TRACE", "2700112233027D1D", `[]`, true},
	{"TRACE, version 1", "65027D1D", `[]`, true},
	{"TRACE, version 2, lower case", "a5027d1d", `[]`, true},
	{"TRACE, version 3", "E5", `[]`, true},
	{"not whole: no TRACE", "25027D1", `[]`, false},
	{"not hex: no TRACE", "25027D1G", `[]`, false},
	{"payload type 8", "20AABBCCDD01EE", `["EE"]`, false},
	{"payload type 10", "29017D", `["7D"]`, false},
	{"payload type 1, bit 5 off", "06017D", `["7D"]`, false},
	{"63 hops of four bytes", "05FF" + strings.Repeat("0A1B2C3D", 63), `["` + strings.Repeat(`0A1B2C3D","`, 62) + `0A1B2C3D"]`, false},
	{"longer than a packet can be", "0501AA" + strings.Repeat("00", 1000), `["AA"]`, false},
	{"just longer than a packet can be, and not hex", strings.Repeat("0", 512) + "x", `[]`, false},
}

func TestDecodePath(t *testing.T) {
	for _, p := range packets {
		if path, trace := jobs.DecodePath(p.raw); path != p.path || trace != p.trace {
			t.Errorf("%s: DecodePath(%q) = %s, %t; want %s, %t", p.why, p.raw, path, trace, p.path, p.trace)
		}
	}
}

var (
	hexText = regexp.MustCompile(`^([0-9A-Fa-f]{2})+$`)
	hopText = regexp.MustCompile(`^([0-9A-F]{2}){1,4}$`)
)

// decodeText is DecodePath once more, on the text instead of its bytes.
func decodeText(raw string) (hops []string, trace bool) {
	hops = []string{}
	if !hexText.MatchString(raw) {
		return hops, false
	}
	take := func(octets int) (text string) {
		n := min(2*octets, len(raw))
		text, raw = raw[:n], raw[n:]
		return strings.ToUpper(text)
	}
	bits := func() string {
		n, _ := strconv.ParseUint(take(1), 16, 8)
		return fmt.Sprintf("%08b", n)
	}
	header := bits()
	if header[2:6] == "1001" {
		return hops, true
	}
	if route := header[6:]; route == "00" || route == "11" {
		take(4)
	}
	if raw == "" {
		return hops, false
	}
	shape := bits()
	size, _ := strconv.ParseUint(shape[:2], 2, 8)
	count, _ := strconv.ParseUint(shape[2:], 2, 8)
	for range count {
		hop := take(int(size) + 1)
		if len(hop) < 2*(int(size)+1) {
			break
		}
		hops = append(hops, hop)
	}
	return hops, false
}

// checkDecode holds one text against decodeText and says whether it is a TRACE.
func checkDecode(t *testing.T, raw string) bool {
	t.Helper()
	path, trace := jobs.DecodePath(raw)
	var hops []string
	if err := json.Unmarshal([]byte(path), &hops); err != nil {
		t.Fatalf("DecodePath(%q) = %s: %v", raw, path, err)
	}
	for _, hop := range hops {
		if !hopText.MatchString(hop) {
			t.Fatalf("DecodePath(%q) = %s: %q is no hop", raw, path, hop)
		}
	}
	want, wantTrace := decodeText(raw)
	if text, _ := json.Marshal(want); path != string(text) || trace != wantTrace {
		t.Fatalf("DecodePath(%q) = %s, %t; want %s, %t", raw, path, trace, text, wantTrace)
	}
	return trace
}

func FuzzDecodePath(f *testing.F) {
	for _, p := range packets {
		f.Add(p.raw)
	}
	condition := openCondition(f)
	f.Fuzz(func(t *testing.T, raw string) {
		trace := checkDecode(t, raw)
		if strings.IndexByte(raw, 0) >= 0 {
			return // SQLite's unhex ends at a NUL
		}
		if picked, want := condition(t, raw), raw != "" && !trace; picked != want {
			t.Errorf("raw_hex %q: Where is %t, want %t", raw, picked, want)
		}
	})
}

// TestPathJSONLeavesTraceAlone: what Where picks is what DecodePath calls no
// TRACE, for every first byte and for random texts. Planted and caught: a class of
// GLOB without the lower-case letters, one without 7, no unhex.
func TestPathJSONLeavesTraceAlone(t *testing.T) {
	condition := openCondition(t)
	check := func(raw string) {
		t.Helper()
		if picked, want := condition(t, raw), raw != "" && !checkDecode(t, raw); picked != want {
			t.Errorf("raw_hex %q: Where is %t, want %t", raw, picked, want)
		}
	}
	for first := range 256 {
		for _, form := range []string{"%02X", "%02x", "%02X027D1D", "%02x4", "%02Xxy", "%02X é", " %02X"} {
			check(fmt.Sprintf(form, first))
		}
	}
	random := newRandom(t)
	for range 3000 {
		check(randomText(random))
	}
}

// openCondition returns PathJSON's Where as SQLite sees it, for a row without a
// path.
func openCondition(t testing.TB) func(testing.TB, string) bool {
	job := jobs.PathJSON("p", "t")
	if job.Where != job.Todo {
		t.Errorf("Todo is %s, Where %s: what is left is not what is picked", job.Todo, job.Where)
	}
	stmt, err := openFile(t).Prepare("SELECT " + job.Where + " FROM (SELECT ? AS raw_hex, NULL AS path_json)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stmt.Close() })
	return func(t testing.TB, raw string) (picked bool) {
		t.Helper()
		if err := stmt.QueryRow(raw).Scan(&picked); err != nil {
			t.Fatal(err)
		}
		return picked
	}
}

func openFile(t testing.TB) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "test.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// randomText is a packet, one with a character changed, or anything at all.
func randomText(random *rand.Rand) string {
	const digits, other = "0123456789ABCDEFabcdef", "0123456789ABCDEFabcdefGg [^-]*?é\xff\n'"
	alphabet := digits
	if random.IntN(4) == 0 {
		alphabet = other
	}
	text := make([]byte, random.IntN(80))
	for i := range text {
		text[i] = alphabet[random.IntN(len(alphabet))]
	}
	if len(text) > 1 && random.IntN(2) == 0 {
		copy(text, fmt.Sprintf("%X%d", 2+4*random.IntN(4), 4+random.IntN(4))) // TRACE
	}
	return string(text)
}

// newRandom is replayed with CHUNKFILL_SEED.
func newRandom(t testing.TB) *rand.Rand {
	seed := rand.Uint64()
	if given, err := strconv.ParseUint(os.Getenv("CHUNKFILL_SEED"), 10, 64); err == nil {
		seed = given
	}
	t.Logf("CHUNKFILL_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// TestPathJSON runs the job's SET and WHERE as they stand. Planted and caught:
// "[]" picked again, a NULL raw_hex that becomes "[]".
func TestPathJSON(t *testing.T) {
	db := openFile(t)
	rows := []struct{ raw, path, want any }{
		{"05027D1D", nil, `["7D","1D"]`},
		{"05027D1D", "", `["7D","1D"]`},
		{"05027D1D", `["AA"]`, `["AA"]`},
		{"05027D1D", "[]", "[]"},
		{"0500", nil, "[]"},
		{"no packet", nil, "[]"},
		{"", nil, nil},
		{nil, nil, nil},
		{"25027D1D", nil, nil},
		{"25027D1D", "", ""},
		{[]byte("05027D1D"), nil, "[]"},
	}
	if _, err := db.Exec("CREATE TABLE packets (raw_hex, path_json, want)"); err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		if _, err := db.Exec("INSERT INTO packets VALUES (?, ?, ?)", row.raw, row.path, row.want); err != nil {
			t.Fatal(err)
		}
	}
	job := jobs.PathJSON("packets_v1", "packets")
	update := fmt.Sprintf("UPDATE packets SET %s = %s WHERE %s", job.Set[0].Column, job.Set[0].Expr, job.Where)
	for run, want := range []int64{5, 0} {
		result, err := db.Exec(update)
		if err != nil {
			t.Fatal(err)
		}
		if n, _ := result.RowsAffected(); n != want {
			t.Errorf("run %d changed %d rows, want %d", run+1, n, want)
		}
	}
	var wrong string
	query := "SELECT coalesce(group_concat(quote(raw_hex) || ' -> ' || quote(path_json)), '') FROM packets WHERE path_json IS NOT want"
	if err := db.QueryRow(query).Scan(&wrong); err != nil || wrong != "" {
		t.Errorf("wrong: %s (%v)", wrong, err)
	}
}
