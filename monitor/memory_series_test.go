package monitor_test

import (
	"testing"

	"github.com/sluice-pay/sluice/monitor"
	"github.com/sluice-pay/sluice/monitor/seriestest"
)

func TestMemorySeries(t *testing.T) {
	seriestest.Run(t, func(*testing.T) monitor.Series { return monitor.NewMemorySeries(monitor.SeriesRetention{}) })
}
