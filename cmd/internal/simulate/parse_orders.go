package simulate

import (
	"time"

	"github.com/sluice-pay/sluice/statemachine"
)

func parseOrder(v value) Order {
	o := Order{at: v.at}
	v.object(fields{
		"at":     func(v value) { v.duration(&o.At, 0, longest) },
		"action": func(v value) { parseAction(v, &o.Action) },
		"scope":  func(v value) { v.object(selectorFields(&o.Scope)) },
		"reason": func(v value) { v.str(&o.Reason) },
		"for":    func(v value) { v.duration(&o.For, time.Second, longest) },
	})
	if o.Action == statemachine.ActionNone {
		v.fail("action is missing: want OFF, ON, ON_NOW, HOLD, RELEASE, SUSPEND or LIFT")
	}
	if o.Reason == "" {
		v.fail("reason is missing")
	}
	if o.Scope.Channel == "" && o.Scope.Domain == "" {
		v.fail("scope needs a channel or a failure_domain")
	}
	if _, err := o.Scope.narrowest(); err != nil {
		v.fail("scope: %v", err)
	}
	return o
}

func parseAction(v value, into *statemachine.Action) {
	s, ok := v.text()
	if !ok {
		return
	}
	for a := statemachine.ActionOff; a <= statemachine.ActionLift; a++ {
		if a.String() == s {
			*into = a
			return
		}
	}
	v.fail("%q: want OFF, ON, ON_NOW, HOLD, RELEASE, SUSPEND or LIFT", s)
}

func parseFault(v value) Fault {
	f := Fault{To: forEver, at: v.at}
	kind, begins := "", 0
	v.object(fields{
		"kind":    func(v value) { v.str(&kind) },
		"from":    func(v value) { v.duration(&f.From, 0, longest); begins++ },
		"at":      func(v value) { v.duration(&f.From, 0, longest); begins++ },
		"to":      func(v value) { v.duration(&f.To, 0, longest) },
		"replica": func(v value) { whole(v, &f.Replica, 1, maxReplicas) },
		"step":    func(v value) { v.duration(&f.Step, -longest, longest) },
	})
	f.Kind = FaultKind(kind)
	if f.To <= f.From {
		v.fail("to must be after from")
	}
	if begins > 1 {
		v.fail("give one of at and from")
	}
	checkFault(v, &f)
	return f
}

// checkFault reports what a fault of its kind lacks, or has no use for.
func checkFault(v value, f *Fault) {
	replica, step := f.Replica != 0, f.Step != 0
	switch f.Kind {
	case RedisDown, RedisSlow, EtcdDown, LeaderKilled:
		if replica {
			v.fail("%s has no replica", f.Kind)
		}
	case ReplicaKilled:
		if !replica {
			v.fail("replica_killed needs a replica")
		}
	case ClockStep:
		if !step {
			v.fail("clock_step needs a step")
		}
		return
	default:
		v.fail("kind %q: want redis_down, redis_slow, etcd_down, leader_killed, replica_killed or clock_step", f.Kind)
		return
	}
	if step {
		v.fail("%s has no step", f.Kind)
	}
}
