package client

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
)

// reportField is the number of StreamResultsRequest.reports.
const reportField = 2

var errFrames = errors.New("not a list of reports")

// batch is a run of reports as they stand in a StreamResultsRequest: tag, length, report. They are encoded once, when they are
// handed over, and lie like that in memory, in the file and on the wire.
type batch struct {
	frames []byte
	ends   []int32 // where each report ends

	sequence uint64 // on the stream it was sent on last
	sends    int
	sending  bool // a stream reads it
	acked    bool
	fate     fate     // as the last acknowledgement said
	from     *segment // that it was read from and still lies in; nil = it is in memory alone
}

// fate is what became of the reports of a batch.
type fate struct {
	applied, rejected, late uint64
	rejections              []*sluicev1.ReportRejection
}

func (b *batch) len() int { return len(b.ends) }

// count is len for the books.
func (b *batch) count() uint64 { return uint64(len(b.ends)) }

// size is the memory that the reports take.
func (b *batch) size() int { return len(b.frames) + 4*len(b.ends) }

// reset makes a batch as new, with its memory.
func (b *batch) reset() { *b = batch{frames: b.frames[:0], ends: b.ends[:0]} }

// add encodes a report at the end.
func (b *batch) add(m *sluicev1.Report, size int) error {
	frames := protowire.AppendTag(b.frames, reportField, protowire.BytesType)
	frames = protowire.AppendVarint(frames, uint64(size)) //nolint:gosec // a length
	head := len(frames)
	frames, err := proto.MarshalOptions{}.MarshalAppend(frames, m)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrReport, err)
	}
	if len(frames)-head != size {
		return fmt.Errorf("%w: it was changed while it was handed over", ErrReport)
	}
	b.frames, b.ends = frames, append(b.ends, int32(len(frames))) //nolint:gosec // at most fullBatch and one report
	return nil
}

// frameSize is what a report of a size takes in a batch.
func frameSize(size int) int {
	return protowire.SizeTag(reportField) + protowire.SizeBytes(size) + 4
}

// report decodes the report at an index.
func (b *batch) report(i int) (*sluicev1.Report, error) {
	begin := int32(0)
	if i > 0 {
		begin = b.ends[i-1]
	}
	frame := b.frames[begin:b.ends[i]]
	_, _, n := protowire.ConsumeTag(frame)
	if n < 0 {
		return nil, errFrames
	}
	raw, m := protowire.ConsumeBytes(frame[n:])
	if m < 0 {
		return nil, errFrames
	}
	r := &sluicev1.Report{}
	if err := proto.Unmarshal(raw, r); err != nil {
		return nil, fmt.Errorf("%w: %w", errFrames, err)
	}
	return r, nil
}

// refused returns the reports of the batch that a replica refused, as it said last.
func (b *batch) refused() (all []Rejection) {
	for _, j := range b.fate.rejections {
		if int(j.GetIndex()) >= b.len() {
			continue
		}
		if r, err := b.report(int(j.GetIndex())); err == nil {
			all = append(all, Rejection{Report: r, Field: j.GetField(), Description: j.GetDescription(), Reason: j.GetReason()})
		}
	}
	return all
}

// message is the batch as a message. What it holds already has the form of the wire, and goes out as it is.
func (b *batch) message(name string) *sluicev1.StreamResultsRequest {
	m := &sluicev1.StreamResultsRequest{Sequence: b.sequence, Reporter: name}
	m.ProtoReflect().SetUnknown(protoreflect.RawFields(b.frames))
	return m
}

// split finds where reports end; only whole, decodable ones make a batch.
func split(frames []byte) (*batch, error) {
	b := &batch{frames: frames}
	for rest := frames; len(rest) > 0; {
		tag, kind, n := protowire.ConsumeTag(rest)
		if n < 0 || tag != reportField || kind != protowire.BytesType {
			return nil, errFrames
		}
		_, m := protowire.ConsumeBytes(rest[n:])
		if m < 0 {
			return nil, errFrames
		}
		rest = rest[n+m:]
		if b.ends = append(b.ends, int32(len(frames)-len(rest))); len(b.ends) > mostBatch { //nolint:gosec // at most maxRecord
			return nil, errFrames
		}
		if _, err := b.report(len(b.ends) - 1); err != nil {
			return nil, err
		}
	}
	return b, nil
}
