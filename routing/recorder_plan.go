package routing

import (
	"bytes"
	"compress/flate"
	"io"
	"sync"
	"sync/atomic"

	"google.golang.org/protobuf/proto"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
)

// keptPlan is a catalogue of kept tables: compiled while it is new, packed later.
type keptPlan struct {
	plan   atomic.Pointer[Plan]
	packed []byte

	opening sync.Mutex
}

// pack lets go of the compiled plan and returns how many bytes its catalogue takes. A catalogue that cannot be packed stays
// as it is.
func (k *keptPlan) pack() int64 {
	data, err := proto.Marshal(k.plan.Load().source.withoutContacts())
	if err != nil {
		return 0
	}
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestSpeed)
	if err != nil {
		return 0
	}
	if _, err := w.Write(data); err != nil {
		return 0
	}
	if err := w.Close(); err != nil {
		return 0
	}
	k.packed = b.Bytes()
	k.plan.Store(nil)
	return int64(b.Len())
}

// reopened is a packed catalogue, compiled again.
type reopened struct {
	of   *keptPlan
	plan *Plan
}

// open returns the compiled plan and whether it had been packed; nil if the catalogue cannot be read any more, which it could
// before.
func (k *keptPlan) open() (p *Plan, packed bool) {
	if p := k.plan.Load(); p != nil {
		return p, false
	}
	k.opening.Lock() // one after the other: compiling a large catalogue is work
	defer k.opening.Unlock()
	data, err := io.ReadAll(flate.NewReader(bytes.NewReader(k.packed)))
	if err != nil {
		return nil, true
	}
	catalog := &configv1.Catalog{}
	if err := proto.Unmarshal(data, catalog); err != nil {
		return nil, true
	}
	p, err = CompilePlan(catalog, nil)
	if err != nil {
		return nil, true
	}
	return p, true
}
