package clienttest_test

import (
	"fmt"
	"slices"
	"testing"
)

// exampleTB stands in for the test that an example is not part of.
type exampleTB struct {
	testing.TB

	ends []func()
}

func (*exampleTB) Helper()                           {}
func (t *exampleTB) Cleanup(end func())              { t.ends = append(t.ends, end) }
func (*exampleTB) Errorf(format string, args ...any) { fmt.Printf(format+"\n", args...) }
func (*exampleTB) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

// forExample returns what a test would be, and what ends it.
func forExample() (testing.TB, func()) {
	t := &exampleTB{}
	return t, func() {
		for _, end := range slices.Backward(t.ends) {
			end()
		}
	}
}
