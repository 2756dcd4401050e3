package record

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/sluice-pay/sluice/api/sluice/config/statepb"
	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/monitor/etcdstore"
)

// parse fills in what the bytes of a record hold.
func (r *Record) parse(kind byte, body []byte) error {
	switch kind {
	case recordSecond:
		row, err := monitor.ParseRow(body)
		if err != nil {
			return fmt.Errorf("second: %w", err)
		}
		r.Second, r.At = &row.Counts, row.Counts.Second
	case recordEntry:
		return r.parseEntry(body)
	case recordCatalog:
		return r.parseCatalog(body)
	case recordState:
		var m configv1.ScopeState
		if err := proto.Unmarshal(body, &m); err != nil {
			return fmt.Errorf("state: %w", err)
		}
		s, err := statepb.ToState(&m)
		r.State = &s
		return err //nolint:wrapcheck // it names the field
	case recordIncident:
		var m configv1.Incident
		if err := proto.Unmarshal(body, &m); err != nil {
			return fmt.Errorf("incident: %w", err)
		}
		i, err := statepb.ToIncident(&m)
		r.Incident = &i
		return err //nolint:wrapcheck // it names the field
	default:
		return fmt.Errorf("unknown kind of record %q", kind)
	}
	return nil
}

func (r *Record) parseEntry(body []byte) error {
	revision, n := binary.Uvarint(body)
	if n <= 0 {
		return errors.New("journal entry: cut short")
	}
	e, err := etcdstore.ParseEntry(body[n:], int64(revision)) //nolint:gosec // written from an int64
	if err != nil {
		return err //nolint:wrapcheck // it says what it is
	}
	r.Entry, r.At = &e, e.At.Time().Unix()
	return nil
}

func (r *Record) parseCatalog(body []byte) error {
	var m configv1.StoredCatalog
	if err := proto.Unmarshal(body, &m); err != nil {
		return fmt.Errorf("catalogue: %w", err)
	}
	data, err := monitor.UnpackCatalog(m.GetGzip())
	if err != nil {
		return err //nolint:wrapcheck // it says what it is
	}
	if sum := sha256.Sum256(data); !bytes.Equal(sum[:], m.GetSha256()) {
		return fmt.Errorf("catalogue %d: not as it was written", m.GetNumber())
	}
	r.Catalog = &Catalog{Number: m.GetNumber(), Data: data}
	return nil
}
