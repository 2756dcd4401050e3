package monitor

// continuous is how many missing seconds leave what is suspected as it is: the results around them are still a sample of
// the same time.
const continuous = 60

// Interrupt tells, before the Observe that goes on, that what the last so many seconds counted is missing, in whole or in
// part: the replica was down, or the exchange lost rows. Attempts on their way are no longer followed, as their answers may
// have been missed. After more than a minute what was suspected is dropped as well: what came before and what comes after is
// no one stretch of evidence. What was learned stays.
func (p *Pipeline) Interrupt(missing int64) {
	if missing <= 0 {
		return
	}
	p.detector.sent.flights = nil
	if missing <= continuous {
		return
	}
	for _, v := range p.detector.views() {
		v.history.Drop(0)
	}
}

// Observed is the newest second that was observed, 0 before the first.
func (p *Pipeline) Observed() int64 { return p.detector.History().Now() }
