package metrics

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/chunkfill/chunkfill/engine"
	"github.com/chunkfill/chunkfill/jobs"
)

// tool finds a program of Debian's package prometheus.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := osexec.LookPath(name)
	if err != nil {
		t.Skipf("there is no %s; Debian's package prometheus has it", name)
	}
	return path
}

// TestAlertRules: promtool accepts the rules and their unit tests. Planted and caught: a
// rule without its delay; a log that may be ten times as long; a retried job that stays
// failed; a paused job that is stuck.
func TestAlertRules(t *testing.T) {
	promtool := tool(t, "promtool")
	for _, args := range [][]string{{"check", "rules", "chunkfill.yml"}, {"test", "rules", "chunkfill_test.yml"}} {
		command := osexec.CommandContext(t.Context(), promtool, args...)
		command.Dir = "alerts"
		if said, err := command.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, said)
		}
	}
}

// TestDashboard: a real Prometheus scrapes an application with jobs of all kinds, and each
// query of the dashboard returns data from it; the alert rules are loaded and healthy. No
// query may be empty. Planted and caught: a metric misspelled in a panel.
func TestDashboard(t *testing.T) {
	binary := tool(t, "prometheus")
	target := serveJobs(t)
	server := startPrometheus(t, binary, target)

	queries := dashboardQueries(t)
	if len(queries) < 15 {
		t.Fatalf("the dashboard has %d queries", len(queries))
	}
	for _, query := range queries {
		var rows []string
		server.until(t, query, func() (ok bool, said string) {
			rows, said = server.query(t, query)
			return len(rows) > 0, said
		})
		for _, row := range rows {
			if strings.Contains(query, "by (job_name") && !strings.Contains(row, `"job_name":`) {
				t.Errorf("%s: %s has no job_name", query, row)
			}
		}
	}
	server.until(t, "the rules", func() (bool, string) {
		said := server.get(t, "/api/v1/rules")
		return strings.Count(said, `"health":"ok"`) == 4, said
	})
}

// serveJobs is an application with a job that runs for long, and goes on putting rows into
// quarantine, one that is paused and one that has failed.
func serveJobs(t *testing.T) (target string) {
	t.Helper()
	h := newHost(t, filepath.Join(t.TempDir(), "a.db"), 200_000, engine.Config{MaxRate: 2000, QuarantineLimit: 1000})
	bad := jobs.Update{Name: "bad", Table: "small", Set: []jobs.Assign{{Column: "n", Expr: "NULL"}}}
	exec(t, h.db, "CREATE TABLE small (id INTEGER PRIMARY KEY, n INT NOT NULL)", "INSERT INTO small VALUES (1, 1)")
	if _, err := h.eng.Run(t.Context(), bad); err == nil {
		t.Fatal("it did not fail")
	}
	for _, name := range []string{"walk", "paused"} {
		if err := h.eng.Start(t.Context(), increment(name)); err != nil {
			t.Fatal(err)
		}
	}
	h.wait("the job to be paused", func(map[string]float64) bool { return h.eng.Pause(t.Context(), "paused", "the test") == nil })
	app := httptest.NewServer(promhttp.HandlerFor(h.registry, promhttp.HandlerOpts{}))
	t.Cleanup(app.Close)
	return strings.TrimPrefix(app.URL, "http://")
}

// prom is a Prometheus on the loopback, with files of its own.
type prom struct {
	url  string
	log  string
	ends time.Time
}

const configuration = `
global: {scrape_interval: 500ms, evaluation_interval: 500ms}
rule_files: [%q]
scrape_configs: [{job_name: app, static_configs: [{targets: [%q]}]}]
`

func startPrometheus(t *testing.T, binary, target string) *prom {
	t.Helper()
	rules, err := filepath.Abs("alerts/chunkfill.yml")
	if err != nil {
		t.Fatal(err)
	}
	folder, address := t.TempDir(), freeAddress(t)
	config := filepath.Join(folder, "prometheus.yml")
	if err := os.WriteFile(config, fmt.Appendf(nil, configuration, rules, target), 0o600); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(folder, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()

	ctx, kill := context.WithCancel(context.Background())
	command := osexec.CommandContext(ctx, binary, "--config.file="+config, "--storage.tsdb.path="+filepath.Join(folder, "data"), "--web.listen-address="+address)
	command.Dir, command.Stdout, command.Stderr = folder, log, log
	if err := command.Start(); err != nil {
		kill()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		kill()
		_ = command.Wait()
	})
	return &prom{url: "http://" + address, log: log.Name(), ends: time.Now().Add(time.Minute)}
}

// freeAddress is one of the loopback that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// until asks again and again, for a minute in all: a busy machine takes long.
func (p *prom) until(t *testing.T, what string, ok func() (bool, string)) {
	t.Helper()
	for {
		done, said := ok()
		if done {
			return
		}
		if time.Now().After(p.ends) {
			log, _ := os.ReadFile(p.log)
			t.Fatalf("no data: %s\n%s\n%s", what, said, log)
		}
		<-time.After(100 * time.Millisecond)
	}
}

// get returns an answer, or what kept it away.
func (p *prom) get(t *testing.T, path string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err.Error() // it has not begun to listen
	}
	defer response.Body.Close()
	var text json.RawMessage
	if err := json.NewDecoder(response.Body).Decode(&text); err != nil {
		return err.Error()
	}
	return string(text)
}

// query returns the rows of a query's answer. One that does not parse fails the test.
func (p *prom) query(t *testing.T, query string) (rows []string, said string) {
	t.Helper()
	said = p.get(t, "/api/v1/query?query="+url.QueryEscape(query))
	if strings.Contains(said, `"errorType":"bad_data"`) {
		t.Fatalf("%s: %s", query, said)
	}
	var answer struct {
		Data struct{ Result []json.RawMessage }
	}
	if json.Unmarshal([]byte(said), &answer) != nil {
		return nil, said
	}
	for _, row := range answer.Data.Result {
		rows = append(rows, string(row))
	}
	return rows, said
}

// dashboardQueries are those of all panels and variables, as Grafana sends them.
func dashboardQueries(t *testing.T) (queries []string) {
	t.Helper()
	text, err := os.ReadFile("grafana/chunkfill.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels     []struct{ Targets []struct{ Expr string } }
		Templating struct {
			List []struct{ Type, Definition string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}

	grafana := strings.NewReplacer("$__rate_interval", "5s", "$job_name", ".*")
	for _, panel := range dashboard.Panels {
		if len(panel.Targets) == 0 {
			t.Error("a panel without a query")
		}
		for _, target := range panel.Targets {
			queries = append(queries, grafana.Replace(target.Expr))
		}
	}
	for _, variable := range dashboard.Templating.List {
		if variable.Type == "query" {
			metric, label, _ := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(variable.Definition, "label_values("), ")"), ", ")
			queries = append(queries, "count by ("+label+") ("+metric+")")
		}
	}
	return queries
}
