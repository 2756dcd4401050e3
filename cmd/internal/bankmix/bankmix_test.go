package bankmix

import (
	"errors"
	"math"
	"os"
	"strings"
	"testing"
)

func realMix(t *testing.T) []Mix {
	t.Helper()
	f, err := os.Open("upi-remitter-banks.csv")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	months, err := Read(f)
	if err != nil {
		t.Fatal(err)
	}
	return months
}

func TestReadRealMix(t *testing.T) {
	months := realMix(t)
	if len(months) != 3 || len(months[0])+len(months[1])+len(months[2]) != 85 {
		t.Fatalf("%d months", len(months))
	}
	latest := months[2]
	sbi, ok := latest.Find("SBI")
	if !ok || sbi.Name != "State Bank of India" || sbi.Month.Format("2006-01") != "2025-07" || sbi.Volume != 5214.74 {
		t.Errorf("SBI is %+v", sbi)
	}
	for _, got := range [][2]float64{{sbi.Approved, 0.9322}, {sbi.Declined, 0.0617}, {sbi.Failed, 0.0061}} {
		if math.Abs(got[0]-got[1]) > 1e-9 {
			t.Errorf("got %g, want %g", got[0], got[1])
		}
	}
	total := 0.0
	for _, b := range latest {
		total += latest.Share(b.ID)
	}
	if math.Abs(total-1) > 1e-9 || latest.Share("nobody") != 0 {
		t.Errorf("shares add up to %g", total)
	}
	var top []string
	for _, b := range latest.Top(12) {
		top = append(top, b.ID)
	}
	if got, want := strings.Join(top, " "), "SBI HDFC BOB UNION PNB KOTAK CANARA AXIS ICICI IPPB INDIAN AIRTEL"; got != want {
		t.Errorf("top twelve: %s\nwant %s", got, want)
	}
	if n := len(latest.Top(1000)); n != len(latest) {
		t.Errorf("top thousand has %d of %d", n, len(latest))
	}
}

// TestIDsAreStable finds the banks of the last month under the same ids in the months before.
func TestIDsAreStable(t *testing.T) {
	months := realMix(t)
	for _, b := range months[2].Top(25) {
		for _, m := range months[:2] {
			if _, ok := m.Find(b.ID); !ok {
				t.Errorf("%s (%s) is not in %s", b.ID, b.Name, m[0].Month.Format("2006-01"))
			}
		}
	}
}

func TestID(t *testing.T) {
	for name, want := range map[string]string{
		"State Bank Of India": "SBI", "HDFC BANK LTD": "HDFC", "Axis Bank Ltd.": "AXIS", "Bank Of India": "BOI",
		"The Jammu & Kashmir Bank Limited": "JKB", "Jammu and Kashmir Bank": "JKB", "INDUSIND BANK": "INDUSIND",
		"India Post Payment Bank": "IPPB", "Paytm Payments Bank": "PAYTM", "South Sea Bank": "SOUTH-SEA", "Bank": "BANK", " ?": "", "": "",
	} {
		if got := ID(name); got != want {
			t.Errorf("ID(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestReadReportsEveryLine(t *testing.T) {
	text := header + "\n" +
		"2025-07,State Bank of India,10,90,9,1\n" +
		"July,HDFC Bank,x,90,9,1\n" +
		"2025-07,Axis Bank,10,90,9,9\n" +
		"2025-07,State Bank Of India,10,90,9,1\n" +
		"2025-07,,0,101,-1,NaN\n"
	_, err := Read(strings.NewReader(text))
	want := `line 3: month: want YYYY-MM, have "July"
line 3: volume_million: want a number from 0 to 1e+06, have "x"
line 4: the three percentages add up to 108.00, want 100 within 0.2
line 5: remitter_bank: SBI stands on line 2 already for this month
line 6: remitter_bank: want the name of a bank, have ""
line 6: approved_pct: want a number from 0 to 100, have "101"
line 6: business_decline_pct: want a number from 0 to 100, have "-1"
line 6: technical_decline_pct: want a number from 0 to 100, have "NaN"`
	if err == nil || err.Error() != want || !errors.Is(err, ErrMix) {
		t.Errorf("got:\n%v\nwant:\n%s", err, want)
	}
}

func TestReadRefusesOtherFiles(t *testing.T) {
	for text, want := range map[string]string{
		"":                           "line 1: want the header",
		"a,b\n":                      "line 1: want the header",
		header + "\n":                "line 2: want at least one bank",
		header + "\n2025-07,x\n":     "line 2: wrong number of fields",
		header + "\n\"open\n":        "line 2: ",
		header + "\n2025-07,,1,1,1,": "line 2: ",
	} {
		_, err := Read(strings.NewReader(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Read(%q) = %v, want %q", text, err, want)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(header + "\n2025-07,State Bank of India,10,90,9,1\n")
	f.Fuzz(func(t *testing.T, text string) {
		months, err := Read(strings.NewReader(text))
		if err != nil {
			if !errors.Is(err, ErrMix) {
				t.Errorf("got %v", err)
			}
			return
		}
		for _, m := range months {
			if !(m.Total() > 0) {
				t.Errorf("a month without payments: %v", m)
			}
		}
	})
}
