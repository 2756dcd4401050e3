package gate

import (
	"math"
	"time"
)

// Envoy is Envoy's outlier detection, written from its documentation with its defaults, except that at most half of a
// cluster may be ejected (default: 10 %, which is none of six channels) and that the failure percentage ejects (default:
// off). A cluster is the channels that carry the same payments: all, or those of one bank.
func Envoy() Maker {
	return Maker{Name: "Envoy outlier detection, max_ejection 50 %", New: func(keys []Key) (Gate, error) {
		g := &envoyGate{clusters: map[string]*cluster{}}
		for _, k := range keys {
			c := g.clusters[k.Bank]
			if c == nil {
				c = &cluster{byChannel: map[string]*host{}}
				g.clusters[k.Bank] = c
			}
			h := &host{}
			c.byChannel[k.Channel] = h
			c.hosts = append(c.hosts, h)
		}
		return g, nil
	}}
}

// The settings of a cluster, by Envoy's names.
const (
	consecutive5xx            = 5
	interval                  = 10 * time.Second
	baseEjectionTime          = 30 * time.Second
	maxEjectionTime           = 300 * time.Second
	maxEjectionPercent        = 50
	successRateMinimumHosts   = 5
	successRateRequestVolume  = 100
	successRateStdevFactor    = 1.9
	failurePercentage         = 85
	failurePercentageMinHosts = 5
	failurePercentageVolume   = 50
)

type envoyGate struct {
	clusters map[string]*cluster
	swept    time.Time
}

type cluster struct {
	hosts     []*host
	byChannel map[string]*host
}

type host struct {
	ejected       bool
	since         time.Time
	multiplier    int // ejections in a row
	failuresInRow int
	total, ok     int // of the running interval
}

// Allow implements Gate.
func (g *envoyGate) Allow(k Key, _ time.Time) (Ticket, bool) {
	c := g.clusters[k.Bank]
	h := c.byChannel[k.Channel]
	if h.ejected {
		return nil, false
	}
	return envoyTicket{c, h}, true
}

// Phase implements Gate.
func (g *envoyGate) Phase(k Key, _ time.Time) Phase {
	if g.clusters[k.Bank].byChannel[k.Channel].ejected {
		return Open
	}
	return Closed
}

type envoyTicket struct {
	cluster *cluster
	host    *host
}

// Done implements Ticket.
func (t envoyTicket) Done(failed bool, now time.Time) {
	h := t.host
	h.total++
	if !failed {
		h.ok++
		h.failuresInRow = 0
		return
	}
	h.failuresInRow++
	if h.failuresInRow == consecutive5xx {
		h.failuresInRow = 0
		t.cluster.eject(h, now)
	}
}

// Void implements Ticket.
func (envoyTicket) Void(time.Time) {}

// eject takes a host out, unless too many are out already.
func (c *cluster) eject(h *host, now time.Time) {
	if h.ejected {
		return
	}
	out := 0
	for _, other := range c.hosts {
		if other.ejected {
			out++
		}
	}
	if 100*(out+1) > maxEjectionPercent*len(c.hosts) {
		return
	}
	h.ejected, h.since = true, now
	if time.Duration(h.multiplier)*baseEjectionTime < maxEjectionTime {
		h.multiplier++
	}
}

// Tick implements Gate: every interval hosts come back, and the rates of the interval are compared.
func (g *envoyGate) Tick(now time.Time) {
	if g.swept.IsZero() {
		g.swept = now
	}
	if now.Sub(g.swept) < interval {
		return
	}
	g.swept = now
	for _, c := range g.clusters {
		c.sweep(now)
	}
}

func (c *cluster) sweep(now time.Time) {
	for _, h := range c.hosts {
		h.comeBack(now)
	}
	c.ejectBySuccessRate(now)
	c.ejectByFailurePercentage(now)
	for _, h := range c.hosts {
		h.total, h.ok = 0, 0
	}
}

// comeBack ends an ejection whose time is up; an interval without ejection shortens the next one.
func (h *host) comeBack(now time.Time) {
	if !h.ejected {
		h.multiplier = max(0, h.multiplier-1)
		return
	}
	if now.Sub(h.since) >= min(time.Duration(h.multiplier)*baseEjectionTime, maxEjectionTime) {
		h.ejected, h.failuresInRow = false, 0
	}
}

// rated lists the hosts in service with enough payments in the interval, nil if they are too few.
func (c *cluster) rated(volume, least int) []*host {
	var out []*host
	for _, h := range c.hosts {
		if !h.ejected && h.total >= volume {
			out = append(out, h)
		}
	}
	if len(out) < least {
		return nil
	}
	return out
}

func (h *host) successRate() float64 { return 100 * float64(h.ok) / float64(h.total) }

// ejectBySuccessRate takes hosts out that lie far below the mean of their cluster.
func (c *cluster) ejectBySuccessRate(now time.Time) {
	hosts := c.rated(successRateRequestVolume, successRateMinimumHosts)
	if len(hosts) == 0 {
		return
	}
	n, mean, variance := float64(len(hosts)), 0.0, 0.0
	for _, h := range hosts {
		mean += h.successRate() / n
	}
	for _, h := range hosts {
		d := h.successRate() - mean
		variance += d * d / n
	}
	threshold := mean - successRateStdevFactor*math.Sqrt(variance)
	for _, h := range hosts {
		if h.successRate() < threshold {
			c.eject(h, now)
		}
	}
}

func (c *cluster) ejectByFailurePercentage(now time.Time) {
	for _, h := range c.rated(failurePercentageVolume, failurePercentageMinHosts) {
		if 100-h.successRate() >= failurePercentage {
			c.eject(h, now)
		}
	}
}
