package client

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
	"github.com/sluice-pay/sluice/routing"
)

// kept runs a client until its file holds revisions 100 and, before it, 99, and returns the file's name.
func kept(t *testing.T, n *network) (file string) {
	t.Helper()
	r := newReplica(t, n, "r1", testCatalog(3))
	r.put(routing.Revision{Epoch: 1, Revision: 99})
	cfg := config(n, LocalFirst)
	cfg.File = filepath.Join(t.TempDir(), "sluice.snapshot")
	c := newClient(t, cfg)
	time.Sleep(5 * time.Second)
	r.put(routing.Revision{Epoch: 1, Revision: 100})
	time.Sleep(5 * time.Second)
	r.kill()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if s := c.Stats(); s.Saved != 2 || s.Unsaved != 0 {
		t.Fatalf("%+v", s)
	}
	return cfg.File
}

func flip(t *testing.T, file string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestFile_DamagedOrForeignIsRefused: the newest whole file of the right environment is used, whatever lies beside it, and what
// is refused never takes the place of the previous one.
func TestFile_DamagedOrForeignIsRefused(t *testing.T) {
	foreign := func(t *testing.T, file string) {
		t.Helper()
		plan, err := routing.CompilePlan(testCatalog(1), nil)
		if err != nil {
			t.Fatal(err)
		}
		data, err := routing.EncodeSnapshot(routing.NewSnapshot(plan.Table(routing.Revision{Epoch: 9, Revision: 9}, nil, nil), "staging", time.Now()))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, tc := range map[string]struct {
		harm     func(t *testing.T, file string)
		revision int64
		rejected uint64
	}{
		"whole":     {func(*testing.T, string) {}, 100, 0},
		"a bit":     {flip, 99, 0},
		"cut":       {func(t *testing.T, f string) { t.Helper(); must(t, os.Truncate(f, 100)) }, 99, 0},
		"empty":     {func(t *testing.T, f string) { t.Helper(); must(t, os.Truncate(f, 0)) }, 99, 0},
		"gone":      {func(t *testing.T, f string) { t.Helper(); must(t, os.Remove(f)) }, 99, 0}, // a crash between the two renames
		"foreign":   {foreign, 99, 1},
		"both":      {func(t *testing.T, f string) { t.Helper(); flip(t, f); flip(t, f+previousSuffix) }, 0, 0},
		"left over": {func(t *testing.T, f string) { t.Helper(); must(t, os.WriteFile(f+".123.tmp", []byte("half"), 0o600)) }, 100, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork()
				file := kept(t, n)
				tc.harm(t, file)
				cfg := config(n, LocalFirst)
				cfg.File = file
				c := newClient(t, cfg)
				s := c.State()
				if s.Revision != tc.revision || tc.revision > 0 != (s.Source == SourceFile) || c.Stats().Rejected != tc.rejected {
					t.Fatalf("%+v, %+v", s, c.Stats())
				}
				// A replica comes back with more: the next file is whole, and so is the one before it.
				r := newReplica(t, n, "r1", testCatalog(3))
				r.put(routing.Revision{Epoch: 1, Revision: 101})
				time.Sleep(15 * time.Second)
				must(t, c.Close())
				previous := 0
				for path, want := range map[string]int64{file: 101, file + previousSuffix: max(99, min(100, tc.revision))} {
					data, err := os.ReadFile(path)
					if err != nil {
						t.Fatal(err)
					}
					s, err := routing.DecodeSnapshot(data)
					if name == "both" && path != file {
						previous++ // nothing whole was there to keep
						continue
					}
					if err != nil || s.GetRevision() != want {
						t.Errorf("%s: revision %d, want %d: %v", filepath.Base(path), s.GetRevision(), want, err)
					}
				}
			})
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestFile_CannotBeWritten: the client goes on, counts it, and leaves nothing behind.
func TestFile_CannotBeWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		r := newReplica(t, n, "r1", testCatalog(3))
		cfg := config(n, LocalFirst)
		cfg.File = filepath.Join(t.TempDir(), "below", "s")
		must(t, os.Mkdir(filepath.Dir(cfg.File), 0o700))
		c := newClient(t, cfg)
		time.Sleep(3 * time.Second)
		must(t, os.RemoveAll(filepath.Dir(cfg.File)))
		r.put(routing.Revision{Epoch: 1, Revision: 101})
		time.Sleep(3 * time.Second)
		if s := c.Stats(); s.Unsaved == 0 {
			t.Errorf("%+v", s)
		}
		if got := mustRoute(t, c, payment(1)).GetSource(); got != SourceFresh {
			t.Error(got)
		}
	})
}

// TestFile_SavesWholeOrNothing looks at the directory between any two steps of a save.
func TestFile_SavesWholeOrNothing(t *testing.T) {
	plan, err := routing.CompilePlan(testCatalog(2), nil)
	must(t, err)
	f := &snapshotFile{path: filepath.Join(t.TempDir(), "s")}
	for revision := int64(1); revision < 5; revision++ {
		s := routing.NewSnapshot(plan.Table(routing.Revision{Epoch: 1, Revision: revision}, nil, nil), env, time.Now())
		must(t, f.save(s))
		var got []int64
		if problems := (&snapshotFile{path: f.path}).load(func(s *configv1.Snapshot) error {
			got = append(got, s.GetRevision())
			return errors.New("look at the next one too")
		}); len(problems) != min(2, int(revision)) {
			t.Fatal(problems)
		}
		if got[0] != revision || revision > 1 && got[1] != revision-1 {
			t.Fatalf("files of %v", got)
		}
	}
	entries, err := os.ReadDir(filepath.Dir(f.path))
	must(t, err)
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".tmp") {
			t.Errorf("left behind: %s", e.Name())
		}
		if info, err := e.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", e.Name(), info.Mode(), err)
		}
	}
}
