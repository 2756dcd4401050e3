package record

import (
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/sluice-pay/sluice/api/sluice/config/statepb"
	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/monitor/etcdstore"
)

const (
	blockBytes   = 256 << 10 // of records, before compression
	blockRecords = 120
)

// Header is what a file says of itself.
type Header struct {
	Environment string    `json:"environment"`
	Replica     string    `json:"replica"` // that recorded
	Started     time.Time `json:"started"` // of the file
	Layout      int       `json:"layout"`  // of packed seconds; set by NewWriter
}

// layout is the layout in which this program packs seconds.
func layout() int { return int((&monitor.Row{}).Pack(nil)[0]) }

// Writer writes one recording. It is not safe for concurrent use. After an error it is of no further use.
type Writer struct {
	to      io.Writer
	replica string
	size    int64
	block   []byte
	records int
	last    int64 // second
	packed  []byte
	squeeze *flate.Writer
	out     bytes.Buffer
}

// NewWriter begins a recording with its header.
func NewWriter(to io.Writer, h Header) (*Writer, error) {
	h.Layout = layout()
	text, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("recording: %w", err)
	}
	squeeze, err := flate.NewWriter(io.Discard, flate.DefaultCompression)
	if err != nil {
		return nil, fmt.Errorf("recording: %w", err)
	}
	w := &Writer{to: to, replica: h.Replica, squeeze: squeeze}
	return w, w.write(appendFrame(preamble(), frameHeader, text))
}

// Size is how many bytes were written.
func (w *Writer) Size() int64 { return w.size }

func (w *Writer) write(b []byte) error {
	n, err := w.to.Write(b)
	w.size += int64(n)
	if err != nil {
		return fmt.Errorf("write the recording: %w", err)
	}
	return nil
}

// Begin records the world as it stands: the catalogue in force, every state, and the open incidents.
func (w *Writer) Begin(view *monitor.View) error {
	if view.Catalog != nil {
		if err := w.Catalog(view.Head.Catalog, view.Catalog); err != nil {
			return err
		}
	}
	for i := range view.States {
		if err := w.message(recordState, statepb.FromState(view.States[i].State)); err != nil {
			return err
		}
	}
	for _, i := range view.Incidents {
		if i.Closed != 0 {
			continue
		}
		if err := w.message(recordIncident, statepb.FromIncident(i)); err != nil {
			return err
		}
	}
	return w.Flush()
}

// Catalog records the catalogue that is in force from here on, serialised.
func (w *Writer) Catalog(number uint64, catalog []byte) error {
	packed, err := monitor.PackCatalog(catalog)
	if err != nil {
		return fmt.Errorf("recording: %w", err)
	}
	sum := sha256.Sum256(catalog)
	return w.message(recordCatalog, &configv1.StoredCatalog{Number: number, Gzip: packed, Sha256: sum[:]})
}

// Second records the sum of a sealed second. One that is not newer than the last is left out.
func (w *Writer) Second(sum *monitor.SecondCounts) error {
	if sum.Second <= w.last {
		return nil
	}
	w.last = sum.Second
	row := monitor.Row{Replica: w.replica, Counts: *sum}
	w.packed = row.Pack(w.packed[:0])
	return w.record(recordSecond, w.packed)
}

// Entry records an entry of the journal.
func (w *Writer) Entry(e *monitor.JournalEntry) error {
	stored, err := etcdstore.PackEntry(*e)
	if err != nil {
		return fmt.Errorf("recording: %w", err)
	}
	return w.record(recordEntry, append(binary.AppendUvarint(nil, uint64(e.Revision)), stored...)) //nolint:gosec // never negative
}

func (w *Writer) message(kind byte, m proto.Message) error {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return fmt.Errorf("recording: %w", err)
	}
	return w.record(kind, b)
}

func (w *Writer) record(kind byte, b []byte) error {
	w.block = append(w.block, kind)
	w.block = binary.AppendUvarint(w.block, uint64(len(b)))
	w.block = append(w.block, b...)
	w.records++
	if len(w.block) >= blockBytes || w.records >= blockRecords {
		return w.Flush()
	}
	return nil
}

// Flush writes what waits as one block.
func (w *Writer) Flush() error {
	if w.records == 0 {
		return nil
	}
	w.out.Reset()
	w.squeeze.Reset(&w.out)
	_, err := w.squeeze.Write(w.block)
	if err := errors.Join(err, w.squeeze.Close()); err != nil {
		return fmt.Errorf("compress the recording: %w", err)
	}
	w.block, w.records = w.block[:0], 0
	return w.write(appendFrame(nil, frameBlock, w.out.Bytes()))
}

// Close writes what waits and marks the end; what is written to stays open.
func (w *Writer) Close() error {
	if err := w.Flush(); err != nil {
		return err
	}
	return w.write(appendFrame(nil, frameEnd, nil))
}
