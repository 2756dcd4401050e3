package deploytest

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

var (
	selector = regexp.MustCompile(`\b((?:sluice|go|process)_[a-z_]+)(?:\{([^}]*)\})?`)
	matcher  = regexp.MustCompile(`(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"`)
	// Given by Prometheus, not by the replica.
	targetLabels = []string{"job", "instance", "environment"}
)

// unknown reports what an expression selects and a replica does not have: metrics, labels, values.
func unknown(expr string, has exposed) []string {
	var found []string
	for _, s := range selector.FindAllStringSubmatch(expr, -1) {
		labels, ok := has[s[1]]
		if !ok {
			found = append(found, "there is no metric "+s[1])
			continue
		}
		for _, m := range matcher.FindAllStringSubmatch(s[2], -1) {
			if !slices.Contains(targetLabels, m[1]) {
				found = append(found, unmatched(s[1], m, labels[m[1]])...)
			}
		}
	}
	return found
}

// unmatched checks one matcher; every alternative of a pattern must match something.
func unmatched(metric string, m []string, values map[string]bool) []string {
	if values == nil {
		return []string{metric + " has no label " + m[1]}
	}
	alternatives := []string{regexp.QuoteMeta(m[3])}
	if strings.HasSuffix(m[2], "~") {
		alternatives = strings.Split(m[3], "|")
	}
	var found []string
	for _, a := range alternatives {
		pattern := regexp.MustCompile("^(?:" + a + ")$")
		if !slices.ContainsFunc(slices.Collect(maps.Keys(values)), pattern.MatchString) {
			found = append(found, metric+": no "+m[1]+" is "+a)
		}
	}
	return found
}

func TestUnknownMetricsAreSeen(t *testing.T) {
	has := exposed{"sluice_rpc_total": {"code": {"OK": true}}}
	for expr, want := range map[string]int{
		`rate(sluice_rpc_total{code="OK",job="x"}[1m])`: 0,
		`rate(sluice_rpcs_total[1m])`:                   1,
		`sluice_rpc_total{method="a"}`:                  1,
		`sluice_rpc_total{code=~"OK|Well"}`:             1,
	} {
		if got := unknown(expr, has); len(got) != want {
			t.Errorf("%s: %q, want %d findings", expr, got, want)
		}
	}
}

// ruleFile is the part of a rule file that these tests look at.
type ruleFile struct {
	Groups []struct {
		Rules []struct {
			Alert       string            `yaml:"alert"`
			Expr        string            `yaml:"expr"`
			Labels      map[string]string `yaml:"labels"`
			Annotations map[string]string `yaml:"annotations"`
		} `yaml:"rules"`
	} `yaml:"groups"`
}

func rules(t *testing.T) ruleFile {
	t.Helper()
	var f ruleFile
	if err := yaml.Unmarshal([]byte(read(t, "deploy/prometheus/rules.yaml")), &f); err != nil {
		t.Fatal(err)
	}
	if len(f.Groups) == 0 || len(f.Groups[0].Rules) < 10 {
		t.Fatalf("rules.yaml was not read: %+v", f)
	}
	return f
}

func TestRulesAskForWhatAReplicaHas(t *testing.T) {
	has := scrape(t)
	for _, g := range rules(t).Groups {
		for _, r := range g.Rules {
			for _, problem := range unknown(r.Expr, has) {
				t.Errorf("%s: %s", r.Alert, problem)
			}
		}
	}
}

func TestRulesSayWhatToDo(t *testing.T) {
	tests := read(t, "deploy/prometheus/rules_test.yaml")
	seen := map[string]bool{}
	for _, g := range rules(t).Groups {
		for _, r := range g.Rules {
			if seen[r.Alert] {
				t.Errorf("%s stands there twice", r.Alert)
			}
			seen[r.Alert] = true
			if s := r.Labels["severity"]; s != "critical" && s != "warning" {
				t.Errorf("%s: severity %q, want critical or warning", r.Alert, s)
			}
			for _, key := range []string{"summary", "description", "runbook"} {
				if len(r.Annotations[key]) < 20 {
					t.Errorf("%s: %s is %q, want a sentence", r.Alert, key, r.Annotations[key])
				}
			}
			if !strings.Contains(tests, `alertname="`+r.Alert+`"`) {
				t.Errorf("%s never fires in rules_test.yaml", r.Alert)
			}
		}
	}
}

func TestPromtool(t *testing.T) {
	promtool := tool(t, "promtool", "promtool")
	dir := filepath.Join(top, "deploy/prometheus")
	ran(t, exec.Command(promtool, "check", "rules", filepath.Join(dir, "rules.yaml")))
	ran(t, exec.Command(promtool, "test", "rules", filepath.Join(dir, "rules_test.yaml")))

	config := filepath.Join(t.TempDir(), "prometheus.yml")
	text := "rule_files: ['" + filepath.Join(dir, "rules.yaml") + "']\n" + read(t, "deploy/prometheus/scrape.yaml")
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	ran(t, exec.Command(promtool, "check", "config", config))
}
