package main

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/sluice-pay/sluice/cmd/compare/internal/bandit"
)

// run returns the regrets of every contestant, by volume and week. The weeks begin with a seed.
func (s *settings) run(ctx context.Context, contestants []bandit.Contestant, first uint64, told func(string)) ([][][]float64, error) {
	results := make([][][]float64, len(contestants))
	for i := range results {
		results[i] = make([][]float64, len(s.volumes))
		for v := range s.volumes {
			results[i][v] = make([]float64, s.seeds)
		}
	}
	type week struct{ volume, seed int }
	weeks := make(chan week)
	var mu sync.Mutex
	var failed error
	var running sync.WaitGroup
	for range s.workers {
		running.Go(func() {
			for w := range weeks {
				world := bandit.NewWorld(first + uint64(w.seed)) //nolint:gosec // not negative
				for i := range contestants {
					out, err := contestants[i].Run(world, s.volumes[w.volume])
					results[i][w.volume][w.seed] = out.Regret
					if err != nil {
						mu.Lock()
						failed = err
						mu.Unlock()
					}
				}
				told(fmt.Sprintf("%d payments, week %d of %d", s.volumes[w.volume], w.seed+1, s.seeds))
			}
		})
	}
	for v := range slices.Backward(s.volumes) { // the long ones first
		for seed := range s.seeds {
			if ctx.Err() == nil {
				weeks <- week{v, seed}
			}
		}
	}
	close(weeks)
	running.Wait()
	if failed == nil {
		failed = ctx.Err()
	}
	return results, failed
}

// compare runs everybody and prints the table.
func (s *settings) compare(ctx context.Context, out, progress io.Writer) error {
	own, err := bandit.Sluice()
	if err != nil {
		return err //nolint:wrapcheck // it says what
	}
	contestants := append(bandit.Rivals(), own)
	var mu sync.Mutex
	results, err := s.run(ctx, contestants, firstSeed, func(text string) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintln(progress, text)
	})
	if err != nil {
		return err
	}
	if s.csv != "" {
		if err := s.write(contestants, results); err != nil {
			return err
		}
	}
	return s.table(out, contestants, results)
}

// table prints the mean regret of everybody at each volume, and Sluice against the best of the others there.
func (s *settings) table(out io.Writer, contestants []bandit.Contestant, results [][][]float64) error {
	last := len(contestants) - 1
	var b strings.Builder
	fmt.Fprintf(&b, "Mean regret over %d weeks, in payments lost beyond the best channel at each moment\n\n| ranking | parameters |", s.seeds)
	for _, v := range s.volumes {
		fmt.Fprintf(&b, " %d a week |", v)
	}
	b.WriteString("\n|---|---|" + strings.Repeat("---:|", len(s.volumes)) + "\n")
	for i, c := range contestants {
		name := c.Name
		if c.Extra {
			name += " (not held against)"
		}
		fmt.Fprintf(&b, "| %s | %s |", name, c.Parameters)
		for v := range s.volumes {
			fmt.Fprintf(&b, " %.0f |", bandit.Mean(results[i][v]))
		}
		b.WriteByte('\n')
	}
	b.WriteString("\n| payments a week | best of the others | Sluice by it | 95 % | regret ≤ 0.9 × | upper end ≤ 1.0 |\n|---:|---|---:|---|---|---|\n")
	for v, volume := range s.volumes {
		best := -1
		for i := range contestants[:last] {
			if !contestants[i].Extra && (best < 0 || bandit.Mean(results[i][v]) < bandit.Mean(results[best][v])) {
				best = i
			}
		}
		ratio, low, high := bandit.Ratio(results[last][v], results[best][v])
		fmt.Fprintf(&b, "| %d | %s | %.3f | %.3f to %.3f | %s | %s |\n", volume, contestants[best].Name, ratio, low, high, yes(ratio <= 0.9), yes(high <= 1))
	}
	best := 0
	for i := range contestants[:last] {
		if !contestants[i].Extra && bandit.Loss(results[i]) < bandit.Loss(results[best]) {
			best = i
		}
	}
	ratio, low, high := bandit.Overall(results[last], results[best])
	fmt.Fprintf(&b, "| all, each alike | %s | %.3f | %.3f to %.3f | %s | %s |\n", contestants[best].Name, ratio, low, high, yes(ratio <= 0.9), yes(high <= 1))
	if _, err := io.WriteString(out, b.String()); err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	return nil
}

func yes(ok bool) string {
	if ok {
		return "met"
	}
	return "missed"
}

// write writes the regret of every week, so that others may look at it.
func (s *settings) write(contestants []bandit.Contestant, results [][][]float64) error {
	file, err := os.Create(s.csv) //nolint:gosec // where the caller wants it
	if err != nil {
		return fmt.Errorf("create the CSV file: %w", err)
	}
	w := csv.NewWriter(file)
	err = w.Write([]string{"ranking", "parameters", "payments_a_week", "seed", "regret"})
	for i, c := range contestants {
		for v, volume := range s.volumes {
			for seed, regret := range results[i][v] {
				if err == nil {
					err = w.Write([]string{c.Name, c.Parameters, strconv.Itoa(volume), strconv.Itoa(firstSeed + seed), strconv.FormatFloat(regret, 'f', 2, 64)})
				}
			}
		}
	}
	w.Flush()
	if err == nil {
		err = w.Error()
	}
	if end := file.Close(); err == nil {
		err = end
	}
	if err != nil {
		return fmt.Errorf("write the CSV file: %w", err)
	}
	return nil
}
