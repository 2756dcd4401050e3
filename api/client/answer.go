package client

import (
	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/routing"
)

// AnswerFrom answers a request from a router as a replica does that knows no other: it checks it, asks the router, with what the
// memory knows of the payment's attempts (nil = nothing), and renders the decision or the refusal. It is what fakes of a replica
// are made of, see package clienttest; applications use Client.Route. second is the present, Unix.
func AnswerFrom(r *routing.Router, memory *routing.Memory, m *sluicev1.RouteRequest, second int64) (*sluicev1.RouteResponse, error) {
	w := &scratch{}
	if err := w.read(m); err != nil {
		return nil, err
	}
	if err := memory.Route(r, &w.request, second, &w.decision); err != nil {
		c := Client{static: r, mem: newMemory("")} // a refusal looks its candidates up where it was decided
		return nil, c.refusal(w, second, SourceStatic, err)
	}
	return w.reply(SourceFresh, 0), nil
}
