package deploytest

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// dashboard is the part of a Grafana dashboard that these tests look at.
type dashboard struct {
	UID, Title string
	Templating struct {
		List []struct{ Name, Definition string }
	}
	Panels []struct {
		ID      int
		Type    string
		Title   string
		GridPos struct{ X, Y, W, H int }
		Targets []struct{ RefID, Expr string }
	}
}

func sluiceBoard(t *testing.T) dashboard {
	t.Helper()
	var d dashboard
	if err := json.Unmarshal([]byte(read(t, "deploy/grafana/sluice.json")), &d); err != nil {
		t.Fatal(err)
	}
	if d.UID != "sluice" || d.Title == "" || len(d.Panels) < 10 {
		t.Fatalf("the dashboard was not read: %q, %q, %d panels", d.UID, d.Title, len(d.Panels))
	}
	return d
}

func TestDashboardPanels(t *testing.T) {
	ids, titles, cells := map[int]bool{}, map[string]bool{}, map[[2]int]string{}
	for _, p := range sluiceBoard(t).Panels {
		if ids[p.ID] || titles[p.Title] || p.ID == 0 || p.Title == "" {
			t.Errorf("panel %d %q: id and title must be there once", p.ID, p.Title)
		}
		ids[p.ID], titles[p.Title] = true, true
		if (p.Type != "row") != (len(p.Targets) > 0) {
			t.Errorf("panel %q of type %s has %d queries", p.Title, p.Type, len(p.Targets))
		}
		g := p.GridPos
		if g.W < 1 || g.H < 1 || g.X < 0 || g.X+g.W > 24 {
			t.Errorf("panel %q lies outside the grid: %+v", p.Title, g)
		}
		for x := g.X; x < g.X+g.W; x++ {
			for y := g.Y; y < g.Y+g.H; y++ {
				if other := cells[[2]int{x, y}]; other != "" && other != p.Title {
					t.Fatalf("panel %q lies over %q", p.Title, other)
				}
				cells[[2]int{x, y}] = p.Title
			}
		}
	}
}

func TestDashboardAsksForWhatAReplicaHas(t *testing.T) {
	has := scrape(t)
	d := sluiceBoard(t)
	for _, v := range d.Templating.List {
		for _, problem := range unknown(v.Definition, has) {
			t.Errorf("variable %s: %s", v.Name, problem)
		}
	}
	for _, p := range d.Panels {
		for _, q := range p.Targets {
			for _, problem := range unknown(q.Expr, has) {
				t.Errorf("%s: %s", p.Title, problem)
			}
		}
	}
}

// Every query is a rule for promtool once Grafana's variables are filled in.
func TestDashboardQueriesParse(t *testing.T) {
	promtool := tool(t, "promtool", "promtool")
	d := sluiceBoard(t)
	known := map[string]bool{"__rate_interval": true}
	for _, v := range d.Templating.List {
		known[v.Name] = true
	}
	variable := regexp.MustCompile(`\$(\w+)`)
	var rules strings.Builder
	rules.WriteString("groups:\n- name: dashboard\n  rules:\n")
	for _, p := range d.Panels {
		for _, q := range p.Targets {
			for _, v := range variable.FindAllStringSubmatch(q.Expr, -1) {
				if !known[v[1]] {
					t.Errorf("%s: there is no variable $%s", p.Title, v[1])
				}
			}
			expr := variable.ReplaceAllString(strings.ReplaceAll(q.Expr, "$__rate_interval", "1m"), "x")
			fmt.Fprintf(&rules, "  - {record: 'panel:%d:%s', expr: '%s'}\n", p.ID, q.RefID, strings.ReplaceAll(expr, "'", "''"))
		}
	}
	path := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(path, []byte(rules.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	ran(t, exec.Command(promtool, "check", "rules", path))
}
