package routing

import "slices"

// Replay says what came of deciding a kept request again.
type Replay struct {
	Kept

	Table *Table // that decided; nil = it is not kept
	// Same says that id and bytes came out as they were given. It is false with a table only if the program, or its memory, is
	// not what it was.
	Same bool
}

// Replay decides a kept request again, from the table of its revision, in its second, under its admission.
func (r *Recorder) Replay(k Kept) Replay {
	out := Replay{Kept: k, Table: r.Table(Revision{k.ID.Epoch, k.ID.Revision})}
	if out.Table == nil {
		return out
	}
	var d Decision
	_ = Decide(out.Table, &k.Request, k.ID.Second, k.ID.Admission, &d) // a refusal is an answer, and part of the bytes
	out.Same = d.ID == k.ID && d.Digest() == k.Digest
	return out
}

// KeptOf copies what is needed to make a decision again, and returns the table that made it, nil if none did. The copy shares
// no list with the buffers.
func KeptOf(q *Request, d *Decision) (Kept, *Table) {
	k := Kept{Request: *q, ID: d.ID, Digest: d.Digest()}
	k.Request.Enrolled, k.Request.Exclude, k.Request.Attempts = slices.Clone(q.Enrolled), slices.Clone(q.Exclude), slices.Clone(q.Attempts)
	return k, d.table
}
