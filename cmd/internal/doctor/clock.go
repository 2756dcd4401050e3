package doctor

import (
	"context"
	"crypto/tls"
	"net/http"
	"time"
)

// What the clocks of two machines may differ by: beyond clockWarn people wonder at times, beyond clockFail replicas no longer
// correct the difference.
const (
	clockWarn = time.Second
	clockFail = time.Minute
)

// httpClock holds this machine's clock against the Date of an HTTP reply, which is in whole seconds.
func httpClock(ctx context.Context, name, endpoint string, conf *tls.Config) Check {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	const next = "allow GET /version on its client address, or compare the clocks by hand"
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint+"/version", nil)
	if err != nil {
		return warn(name, next, "not told: %v", err)
	}
	client := http.Client{Transport: &http.Transport{TLSClientConfig: conf, DisableKeepAlives: true}}
	before := time.Now()
	reply, err := client.Do(q)
	if err != nil {
		return warn(name, next, "not told: %v", err)
	}
	after := time.Now()
	_ = reply.Body.Close()
	date, err := http.ParseTime(reply.Header.Get("Date"))
	if err != nil {
		return warn(name, next, "not told: %v", err)
	}
	return offset(name, between(date.Sub(after), date.Add(time.Second).Sub(before)))
}

// between is the smallest difference that is certain of an interval.
func between(least, most time.Duration) time.Duration {
	switch {
	case least > 0:
		return least
	case most < 0:
		return most
	}
	return 0
}

// offset judges by how much another machine's clock is ahead of ours.
func offset(name string, ahead time.Duration) Check {
	way := "ahead of"
	if ahead < 0 {
		way = "behind"
	}
	const next = "synchronise the clocks of both machines (chrony, NTP)"
	switch {
	case ahead.Abs() > clockFail:
		return fail(name, next, "%s %s ours", brief(ahead), way)
	case ahead.Abs() > clockWarn:
		return warn(name, next, "%s %s ours", brief(ahead), way)
	case ahead.Abs() < time.Millisecond:
		return good(name, "as ours")
	}
	return good(name, "%s %s ours", brief(ahead), way)
}
