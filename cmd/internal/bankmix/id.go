package bankmix

import "strings"

// ID returns the short id of a bank for the name it is published under. Spellings differ from month
// to month: case, `Ltd`, `The` and `&` do not matter. A bank without a customary short name
// gets the words of its name; the result is an id of a catalogue, empty when nothing is left.
func ID(name string) string {
	words := significant(name)
	joined := strings.Join(words, " ")
	if id := customary(joined); id != "" {
		return id
	}
	var kept []string
	for _, w := range words {
		if w != "BANK" && w != "OF" && w != "PAYMENTS" && w != "PAYMENT" {
			kept = append(kept, w)
		}
	}
	if len(kept) == 0 {
		kept = words
	}
	id := strings.Join(kept, "-")
	return strings.Trim(id[:min(len(id), 64)], "-")
}

// significant returns the words that tell banks apart, in capitals.
func significant(name string) []string {
	name = strings.ReplaceAll(strings.ToUpper(name), "&", " AND ")
	words := strings.FieldsFunc(name, func(r rune) bool { return (r < 'A' || r > 'Z') && (r < '0' || r > '9') })
	out := words[:0]
	for _, w := range words {
		if w != "THE" && w != "LTD" && w != "LIMITED" {
			out = append(out, w)
		}
	}
	return out
}

// customary lists the banks whose short names are not simply a word of their name.
func customary(name string) string {
	switch name {
	case "STATE BANK OF INDIA":
		return "SBI"
	case "BANK OF BARODA":
		return "BOB"
	case "PUNJAB NATIONAL BANK":
		return "PNB"
	case "BANK OF INDIA":
		return "BOI"
	case "UNION BANK OF INDIA":
		return "UNION"
	case "KOTAK MAHINDRA BANK":
		return "KOTAK"
	case "INDIA POST PAYMENT BANK", "INDIA POST PAYMENTS BANK":
		return "IPPB"
	case "CENTRAL BANK OF INDIA":
		return "CBI"
	case "INDIAN OVERSEAS BANK":
		return "IOB"
	case "BANK OF MAHARASHTRA":
		return "BOM"
	case "IDFC BANK", "IDFC FIRST BANK":
		return "IDFC"
	case "KARUR VYSYA BANK":
		return "KVB"
	case "SOUTH INDIAN BANK":
		return "SIB"
	case "JAMMU AND KASHMIR BANK":
		return "JKB"
	default:
		return ""
	}
}
