package server

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	sluicev1 "github.com/sluice-pay/sluice/api/sluice/v1"
	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/statemachine"
)

// sentinels lists the exported errors that a package declares.
func sentinels(t *testing.T, dir, pkg string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("%s: %v, %v", dir, paths, err)
	}
	var all []string
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.VAR {
				continue
			}
			for _, spec := range g.Specs {
				for _, name := range spec.(*ast.ValueSpec).Names {
					if strings.HasPrefix(name.Name, "Err") {
						all = append(all, pkg+"."+name.Name)
					}
				}
			}
		}
	}
	return all
}

// Every error that a room declares has a row, under its own name.
func TestEverySentinelHasARow(t *testing.T) {
	var want []string
	for dir, pkg := range map[string]string{
		"../routing": "routing", "../monitor": "monitor", "../statemachine": "statemachine", "../api/sluice/config/statepb": "statepb",
	} {
		want = append(want, sentinels(t, dir, pkg)...)
	}
	slices.Sort(want)
	var got []string
	for _, row := range errorRows() {
		got = append(got, row.name)
		if row.err == nil || row.code == codes.OK || row.reason == 0 {
			t.Errorf("%s: incomplete row", row.name)
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("rows    %v\ndeclared %v", got, want)
	}
}

// Whatever wraps a sentinel gets its row's code and reason; what must not be shown is not.
func TestErrorTable(t *testing.T) {
	s := newStand(t, nil)
	for _, row := range errorRows() {
		t.Run(row.name, func(t *testing.T) {
			err := s.server.toStatus(t.Context(), "m", fmt.Errorf("etcd at 10.0.0.7: %w", row.err))
			if row.hide {
				wantError(t, err, codes.Internal, "INTERNAL")
				if strings.Contains(err.Error(), "10.0.0.7") {
					t.Errorf("shown: %v", err)
				}
				return
			}
			wantError(t, err, row.code, word(row.reason))
			if row.field != "" && detailOf[*errdetails.BadRequest](t, err).GetFieldViolations()[0].GetField() != row.field {
				t.Errorf("field of %v", status.Convert(err).Details())
			}
			if row.retry > 0 && detailOf[*errdetails.RetryInfo](t, err).GetRetryDelay().AsDuration() != row.retry {
				t.Errorf("retry of %v", status.Convert(err).Details())
			}
		})
	}
}

func TestOtherErrors(t *testing.T) {
	s := newStand(t, nil)
	wantError(t, s.server.toStatus(t.Context(), "m", errors.New("secret detail")), codes.Internal, "INTERNAL")
	if !strings.Contains(s.log.String(), "secret detail") {
		t.Error("an unknown error is not in the log")
	}
	wantError(t, s.server.toStatus(t.Context(), "m", context.DeadlineExceeded), codes.DeadlineExceeded, "OUTCOME_UNKNOWN")
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.server.toStatus(gone, "m", context.Canceled); status.Code(err) != codes.Canceled {
		t.Errorf("gone: %v", err)
	}
	refused := &monitor.RefusedError{Scope: statemachine.ChannelScope("alpha"), Ruling: statemachine.Ruling{Answer: statemachine.Refuse, Guard: statemachine.GuardCapacity, Reason: "too small"}}
	err := s.server.toStatus(t.Context(), "m", fmt.Errorf("order: %w", refused))
	wantError(t, err, codes.FailedPrecondition, "GUARD_REFUSED")
	if d := detailOf[*errdetails.ErrorInfo](t, err); d.GetMetadata()["guard"] != "CAPACITY" || d.GetMetadata()["scope"] != "alpha" {
		t.Errorf("metadata %v", d.GetMetadata())
	}
	// All that is wrong with an order is told at once.
	err = s.server.toStatus(t.Context(), "m", errors.Join(statemachine.ErrReasonMissing, statemachine.ErrExpiryMissing))
	if v := detailOf[*errdetails.BadRequest](t, err).GetFieldViolations(); len(v) != 2 {
		t.Errorf("violations %v", v)
	}
}

// Every reason of the contract belongs to a code, and no reason is given with two kinds of code by accident of a typing error.
func TestReasonsAreOfTheContract(t *testing.T) {
	for _, row := range errorRows() {
		if _, ok := sluicev1.ErrorReason_name[int32(row.reason)]; !ok {
			t.Errorf("%s: reason %d is not in the contract", row.name, row.reason)
		}
	}
}

func TestPanicBecomesInternal(t *testing.T) {
	s := newStand(t, func(c *Config) { c.AllowAnonymous, c.Identities = true, nil })
	_, err := s.server.unary(t.Context(), payment("p1"), &grpc.UnaryServerInfo{FullMethod: sluicev1.RoutingService_Route_FullMethodName},
		func(context.Context, any) (any, error) { panic("boom") })
	wantError(t, err, codes.Internal, "INTERNAL")
	if log := s.log.String(); !strings.Contains(log, "boom") || strings.Contains(err.Error(), "boom") {
		t.Errorf("log %s, error %v", log, err)
	}
}
