package catalogfile

import (
	"testing"

	"google.golang.org/protobuf/proto"

	configv1 "github.com/sluice-pay/sluice/api/sluice/config/v1"
)

// TestStrategiesAreReadAndWritten holds a file with every criterion to what it says, and to what is written of it: a criterion
// that says no more than its kind is one all the same.
func TestStrategiesAreReadAndWritten(t *testing.T) {
	c, _, err := Check("good_strategies.yaml", readFile(t, "testdata/good_strategies.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]bool{}
	for _, s := range c.GetStrategies() {
		for _, criterion := range s.GetCriteria() {
			m := criterion.ProtoReflect()
			f := m.WhichOneof(m.Descriptor().Oneofs().ByName("kind"))
			if f == nil {
				t.Fatalf("%v has no kind", criterion)
			}
			kinds[string(f.Name())] = true
		}
	}
	if of := (&configv1.Criterion{}).ProtoReflect().Descriptor().Oneofs().ByName("kind").Fields(); len(kinds) != of.Len() {
		t.Errorf("%d kinds of %d: %v", len(kinds), of.Len(), kinds)
	}
	if s := c.GetStrategies()[0]; s.PriorSuccessRatePpm == nil || s.GetPriorSuccessRatePpm() != 0 {
		t.Error("a prior of 0 is not the default")
	}
	text, err := Write(c)
	if err != nil {
		t.Fatal(err)
	}
	back, _, err := Check("written.yaml", text)
	if err != nil || !proto.Equal(c, back) {
		t.Errorf("%v, written\n%s", err, text)
	}
}
