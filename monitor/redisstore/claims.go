package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/statemachine"
)

const (
	claimChunk = 1000 // claims in one operation: a few milliseconds
	claimLanes = 2
)

// takeScript takes a claim over whose row was not published, and fences that row. It returns nil, or the value that
// holds the claim if it cannot be taken. KEYS: the claim, what is known of the holder's second. ARGV: the value it
// must have, the new value, time to live, the holder's replica and boot, time to live of what is known.
const takeScript = `
local now = redis.call('GET', KEYS[1])
if now and now ~= ARGV[1] then return now end
local row = redis.call('HGET', KEYS[2], 'row:' .. ARGV[4])
if row and string.sub(row, 1, 16) == ARGV[5] then return ARGV[1] end
redis.call('HINCRBY', KEYS[2], 'fence:' .. ARGV[4], 1)
redis.call('EXPIRE', KEYS[2], ARGV[6])
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return false`

// claiming is one call of Claim.
type claiming struct {
	*Store
	second, now int64
	claims      []monitor.Claim
	walks       []monitor.ClaimWalk
	values      [monitor.StageFinal + 1][statemachine.NumOutcomes]string // of this replica, by stage and outcome
	published   map[rowName]bool
	birth       int64 // second since which no claim was lost
	damaged     error // a value that is no claim
}

// rowName names a row of a life of a replica.
type rowName struct {
	second  int64
	replica string
	boot    uint64
}

// contested is a claim that another replica holds.
type contested struct {
	at     int
	holder monitor.ClaimHolder
	value  string
}

// Claim implements monitor.Claims. What could not be asked within the budget is Unverified at once: the first operation
// that overruns ends the call. A first result of an attempt that was decided before claims were lost (Redis came back
// empty) stays Unverified.
func (s *Store) Claim(ctx context.Context, second, now int64, claims []monitor.Claim) ([]monitor.ClaimAnswer, error) {
	if len(claims) == 0 {
		return nil, nil
	}
	c := &claiming{Store: s, second: second, now: now, claims: claims, walks: make([]monitor.ClaimWalk, len(claims))}
	for i := range claims {
		c.walks[i] = monitor.Walk(claims[i])
	}
	err := c.prepare(ctx)
	if err == nil {
		err = c.all(ctx)
	}
	answers := make([]monitor.ClaimAnswer, len(claims))
	for i := range c.walks {
		if !c.walks[i].Done {
			c.walks[i].Fail()
		}
		answers[i] = c.answer(i)
	}
	if err != nil {
		return answers, fmt.Errorf("claim attempts of second %d: %w", second, err)
	}
	return answers, nil
}

// answer is the answer to a claim, in doubt if what was claimed before may have been forgotten.
func (c *claiming) answer(i int) monitor.ClaimAnswer {
	a := c.walks[i].Answer
	decided := c.claims[i].Decided
	if a.Verdict == monitor.Won && !a.Known && decided > 0 && decided < c.birth && c.now-c.birth < c.o.ClaimSeconds {
		return monitor.ClaimAnswer{Verdict: monitor.Unverified, Settled: true}
	}
	return a
}

// prepare reads since when claims are kept, and the fence of this replica's row.
func (c *claiming) prepare(ctx context.Context) error {
	var birth, fence *redis.StringCmd
	err := c.pipeline(ctx, func(ctx context.Context, p redis.Pipeliner) {
		birth = redis.NewStringCmd(ctx, "set", c.o.Environment+":claims", c.now, "nx", "get")
		_ = p.Process(ctx, birth)
		fence = p.HGet(ctx, c.key("published", c.second), "fence:"+c.o.Replica)
	})
	if err == nil {
		err = replied(birth.Err())
	}
	if err == nil {
		err = replied(fence.Err())
	}
	if err != nil {
		return err
	}
	c.setFence(c.second, fence)
	c.birth = c.now
	if birth.Err() == nil {
		if c.birth, err = strconv.ParseInt(birth.Val(), 10, 64); err != nil {
			return fmt.Errorf("%s:claims: %w", c.o.Environment, err)
		}
	}
	return nil
}

// replied is the error of a reply; a missing value is none.
func replied(err error) error {
	if errors.Is(err, redis.Nil) {
		return nil
	}
	return err
}

// all brings every claim to its end, in claimLanes at a time: while Redis works for one, the next is written. All claims of
// an attempt go in one lane, in their order.
func (c *claiming) all(ctx context.Context) error {
	var lanes [claimLanes][]int
	for i := range c.claims {
		lane := 0
		if len(c.claims) > claimChunk {
			lane = int(c.claims[i].Attempt % claimLanes)
		}
		lanes[lane] = append(lanes[lane], i)
	}
	var errs [claimLanes]error
	var wait sync.WaitGroup
	for n, lane := range lanes {
		if len(lane) > 0 {
			own := *c
			wait.Go(func() { errs[n] = own.lane(ctx, lane) })
		}
	}
	wait.Wait()
	return errors.Join(errs[:]...)
}

// lane brings claims to their end, a chunk after the other, and each in as many passes as it needs slots.
func (c *claiming) lane(ctx context.Context, lane []int) error {
	c.published = map[rowName]bool{}
	for len(lane) > 0 {
		n := min(claimChunk, len(lane))
		for active := lane[:n]; len(active) > 0; active = c.open(active) {
			others, err := c.set(ctx, active)
			if err == nil {
				err = c.contest(ctx, others)
			}
			if err != nil {
				return err
			}
		}
		lane = lane[n:]
	}
	return c.damaged
}

// open returns the claims that are still under way, in the memory of what it is given.
func (c *claiming) open(active []int) []int {
	left := active[:0]
	for _, i := range active {
		if !c.walks[i].Done {
			left = append(left, i)
		}
	}
	return left
}

// set tries the slots of claims in one pipeline and returns those that other replicas hold.
func (c *claiming) set(ctx context.Context, active []int) ([]contested, error) {
	cmds := make([]*redis.StringCmd, len(active))
	err := c.pipeline(ctx, func(ctx context.Context, p redis.Pipeliner) {
		var nx, get, ex, ttl any = "nx", "get", "ex", c.o.ClaimSeconds
		for n, i := range active {
			cmds[n] = redis.NewStringCmd(ctx, "set", c.claimKey(i), c.value(i), nx, get, ex, ttl)
			_ = p.Process(ctx, cmds[n])
		}
	})
	if cmds[0] == nil { // not tried at all
		return nil, err
	}
	var others []contested
	for n, i := range active {
		switch was := cmds[n].Err(); {
		case errors.Is(was, redis.Nil): // it was free; also if a later one of the pipeline was not answered
			c.walks[i].Set()
		case was == nil:
			others = c.taken(others, i, cmds[n].Val())
		case err == nil:
			err = was
		}
	}
	return others, err
}

// taken tells a claim what its slot holds, or adds it to those that other replicas hold.
func (c *claiming) taken(others []contested, i int, value string) []contested {
	h, err := monitor.ParseClaimHolder(value)
	switch {
	case err != nil: // somebody else's key: nothing can be said
		c.damaged = fmt.Errorf("%s: %w", c.claimKey(i), err)
		c.walks[i].Fail()
	case h.Replica == c.o.Replica && h.Boot == c.o.Boot:
		c.walks[i].Own(h)
	default:
		others = append(others, contested{i, h, value})
	}
	return others
}

// contest finds out which of the others published what they claimed, and takes over what they did not in time.
func (c *claiming) contest(ctx context.Context, others []contested) error {
	if len(others) == 0 {
		return nil
	}
	if err := c.lookUp(ctx, others); err != nil {
		return err
	}
	var stale []contested
	for _, o := range others {
		h := o.holder
		switch {
		case c.published[rowName{h.Second, h.Replica, h.Boot}]:
			c.walks[o.at].Published(h)
		case h.TakeOver(c.now):
			stale = append(stale, o)
		default:
			c.walks[o.at].Unpublished(h)
		}
	}
	return c.takeOver(ctx, stale)
}

// lookUp asks which rows were published, each once.
func (c *claiming) lookUp(ctx context.Context, others []contested) error {
	asked := map[rowName]*redis.StringCmd{}
	err := c.pipeline(ctx, func(ctx context.Context, p redis.Pipeliner) {
		for _, o := range others {
			row := rowName{o.holder.Second, o.holder.Replica, o.holder.Boot}
			if asked[row] == nil && !c.published[row] {
				asked[row] = p.HGet(ctx, c.key("published", row.second), "row:"+row.replica)
			}
		}
	})
	if err != nil {
		return err
	}
	for row, cmd := range asked {
		if err := replied(cmd.Err()); err != nil {
			return err
		}
		version := cmd.Val()
		c.published[row] = len(version) > 16 && version[:16] == bootText(row.boot)
	}
	return nil
}

// takeOver takes claims over. What changed meanwhile is left to the next pass, or is held.
func (c *claiming) takeOver(ctx context.Context, stale []contested) error {
	if len(stale) == 0 {
		return nil
	}
	calls := make([]scriptCall, len(stale))
	for n, o := range stale {
		calls[n] = scriptCall{
			[]string{c.claimKey(o.at), c.key("published", o.holder.Second)},
			[]any{
				o.value, c.value(o.at), c.o.ClaimSeconds, o.holder.Replica, bootText(o.holder.Boot), c.o.ClaimSeconds + keptSeconds,
			},
		}
	}
	cmds, err := c.scripts(ctx, c.take, calls)
	if err != nil {
		return err
	}
	for n, o := range stale {
		switch err := cmds[n].Err(); {
		case errors.Is(err, redis.Nil):
			c.walks[o.at].Set()
		case err != nil:
			return err
		default: // another was faster, or it was published just now: ask again with the next second
			c.walks[o.at].Unpublished(o.holder)
		}
	}
	return nil
}

// value is what this replica writes for a claim.
func (c *claiming) value(i int) string {
	claim := &c.claims[i]
	v := &c.values[claim.Stage][claim.Outcome]
	if *v == "" {
		h := monitor.ClaimHolder{Replica: c.o.Replica, Boot: c.o.Boot, Second: c.second, Stage: claim.Stage, Outcome: claim.Outcome}
		*v = string(h.Append(nil))
	}
	return *v
}

// claimKey is the key of the slot that a claim tries next.
func (c *claiming) claimKey(i int) string {
	var buf [128]byte
	b := append(buf[:0], c.o.Environment...)
	b = append(b, ":claim:"...)
	b = appendHex(b, c.claims[i].Attempt)
	switch c.walks[i].Slot {
	case monitor.SlotResult:
		b = append(b, ":result"...)
	case monitor.SlotFinal:
		b = append(b, ":final"...)
	case monitor.SlotFirst:
	}
	return string(b)
}

// bootText is a boot as it stands before a version.
func bootText(boot uint64) string { return string(appendHex(nil, boot)) }

// appendHex appends 16 hexadecimal digits.
func appendHex(b []byte, v uint64) []byte {
	const digits = "0123456789abcdef"
	for shift := 60; shift >= 0; shift -= 4 {
		b = append(b, digits[v>>shift&15])
	}
	return b
}
