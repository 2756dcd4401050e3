// Command histories plays random payments through two replicas and holds every answer against the rule for previous attempts:
// never a second channel while an attempt is in doubt, as far as the replica was told; see the package's history.go.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"runtime"
	"time"
)

func main() {
	n := flag.Int64("n", 1_000_000, "histories to play")
	seed := flag.Uint64("seed", 1, "seed of the first; each further one adds 1")
	workers := flag.Int("workers", runtime.GOMAXPROCS(0), "how many at once")
	flag.Parse()
	begun := time.Now()
	sum, err := Play(context.Background(), *seed, *n, *workers)
	fmt.Fprintf(os.Stdout, "%s in %v\n", sum, time.Since(begun).Round(time.Millisecond))
	if err != nil {
		fmt.Fprintln(os.Stderr, "histories:", err)
		os.Exit(1)
	}
}
