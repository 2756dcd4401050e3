package routing

// Open reports whether a channel operates in a second (Unix) by its windows: hours, holidays, maintenance. An unknown channel
// does not.
func (p *Plan) Open(channel string, second int64) bool {
	c, ok := p.channelOf[channel]
	if !ok {
		return false
	}
	s := p.channels[c].schedule
	return s == nil || s.at(second) == DropNone
}
