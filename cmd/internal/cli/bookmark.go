package cli

import sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"

// bookmark is the place in the journal up to which a watch was read, so that a broken one is resumed without a gap and without
// telling anything twice. One entry of the journal may be several messages; a stream may break between them.
type bookmark struct {
	after uint64 // the newest entry of which something came, or after which the watch was asked to begin
	told  int    // messages of that entry that came
	skip  int    // messages of that entry that the resumed stream will repeat
}

// resume returns after which entry to ask for changes now, and expects what that repeats.
func (b *bookmark) resume() uint64 {
	b.skip = b.told
	if b.told > 0 {
		return b.after - 1
	}
	return b.after
}

// news takes a message in and reports whether it was not told before. Full states and heartbeats are always news. A full state
// comes before the changes that are sent again, so it moves the place only where no place was known.
func (b *bookmark) news(m *sluicev1.WatchChannelsResponse) bool {
	switch e := m.GetEvent().(type) {
	case *sluicev1.WatchChannelsResponse_Full:
		if b.after == 0 {
			b.after = e.Full.GetJournalSequence()
		}
	case *sluicev1.WatchChannelsResponse_Heartbeat:
		if e.Heartbeat.GetJournalSequence() > b.after {
			*b = bookmark{after: e.Heartbeat.GetJournalSequence()}
		}
	case *sluicev1.WatchChannelsResponse_Transition:
		return b.entry(e.Transition.GetJournalSequence())
	case *sluicev1.WatchChannelsResponse_Alert:
		return b.entry(e.Alert.GetJournalSequence())
	case *sluicev1.WatchChannelsResponse_Catalog:
		return b.entry(e.Catalog.GetJournalSequence())
	}
	return true
}

// entry takes one message of an entry in. An alert that was raised apart from any entry has sequence 0 and is always news.
func (b *bookmark) entry(sequence uint64) bool {
	switch {
	case sequence == 0:
		return true
	case sequence > b.after:
		*b = bookmark{after: sequence, told: 1}
		return true
	case sequence == b.after && b.skip > 0:
		b.skip--
		return false
	case sequence == b.after:
		b.told++
		return true
	}
	return false
}
