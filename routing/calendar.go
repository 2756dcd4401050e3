package routing

// Closed returns the channels, in the catalogue's order, that do not operate in a second (Unix): outside their hours, on a
// holiday, in maintenance.
func (p *Plan) Closed(second int64) []string {
	var out []string
	for i := range p.channels {
		if s := p.channels[i].schedule; s != nil && s.at(second) != DropNone {
			out = append(out, p.channels[i].id)
		}
	}
	return out
}

// Reopening returns the channels, in the catalogue's order, that are in maintenance in a second (Unix) and no longer so within
// the next ones.
func (p *Plan) Reopening(second, within int64) []string {
	var out []string
	for i := range p.channels {
		s := p.channels[i].schedule
		if s == nil || len(s.maintenance) == 0 || s.at(second) != DropMaintenance {
			continue
		}
		for at := second; at <= second+within; at++ {
			if s.compute(at).drop == DropNone {
				out = append(out, p.channels[i].id)
				break
			}
		}
	}
	return out
}
