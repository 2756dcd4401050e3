package main

import (
	"context"
	"encoding/csv"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	t.Parallel()
	s, err := parse([]string{"--volumes", "200000, 20000", "--seeds", "25"})
	if err != nil || !slices.Equal(s.volumes, []int{20000, 200000}) || s.seeds != 25 || s.tune {
		t.Errorf("got %+v, %v", s, err)
	}
	for _, args := range [][]string{
		{"--volumes", "few"}, {"--volumes", "10"}, {"--seeds", "1"}, {"--seeds", "1000001"}, {"--workers", "0"}, {"--only", "UCB1"}, {"rest"}, {"--nothing"},
	} {
		if _, err := parse(args); err == nil {
			t.Errorf("%v is taken", args)
		}
	}
}

// Everybody decides the same weeks; the table names the best of the others and says whether the target is met.
func TestCompare(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "weeks.csv")
	s := &settings{volumes: []int{1000, 2000}, seeds: 2, workers: 2, csv: file}
	var out, progress strings.Builder
	if err := s.compare(t.Context(), &out, &progress); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| uniform |", "| discounted UCB |", "| Thompson sampling |", "| Sluice | as shipped |", "| 1000 a week | 2000 a week |"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if n := strings.Count(progress.String(), "week"); n != 4 {
		t.Errorf("%d weeks told of, want 4", n)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil || len(rows) != 1+8*2*2 {
		t.Errorf("%d rows of figures (%v), want eight rankings of two weeks at two volumes", len(rows), err)
	}
}

func TestStopped(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := &settings{volumes: []int{1000}, seeds: 2, workers: 1}
	var out, progress strings.Builder
	if err := s.compare(ctx, &out, &progress); err == nil || out.Len() > 0 {
		t.Errorf("a run that was stopped prints %q (%v)", out.String(), err)
	}
}
