package routing

// The lengths of a card number.
const (
	minCardDigits = 13
	maxCardDigits = 19
)

// CardNumber reports whether the text holds something shaped like a card number: 13 to 19 digits in a row, or in groups of
// four to six divided by single blanks or hyphens, that begin like a card and pass the Luhn check. Digits that begin with 0,
// 1, 7, 20 or 21 begin no card in use (ISO/IEC 7812), so that dates and Unix times do not look like one. It allocates nothing.
func CardNumber(text string) bool {
	if len(text) < minCardDigits {
		return false
	}
	for i := 0; i < len(text); {
		if !digit(text[i]) {
			i++
			continue
		}
		end := runEnd(text, i)
		if card(text[i:end]) {
			return true
		}
		if end-i >= 4 && end-i <= 6 && card(groups(text, i)) {
			return true
		}
		i = end
	}
	return false
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

// runEnd returns where the digits that begin at i end.
func runEnd(text string, i int) int {
	for i < len(text) && digit(text[i]) {
		i++
	}
	return i
}

// groups returns the longest part from i on that is groups of four to six digits; the last may be shorter.
func groups(text string, i int) string {
	end := runEnd(text, i)
	for last := end - i; last >= 4 && last <= 6 && end < len(text) && (text[end] == '-' || text[end] == ' '); {
		next := runEnd(text, end+1)
		last = next - end - 1
		if last == 0 || last > 6 {
			break
		}
		end = next
	}
	return text[i:end]
}

// card reports whether digits, with or without separators, are a card number.
func card(text string) bool {
	n, sum := 0, 0
	for i := len(text) - 1; i >= 0; i-- {
		if !digit(text[i]) {
			continue
		}
		d := int(text[i] - '0')
		if n%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
		n++
	}
	return n >= minCardDigits && n <= maxCardDigits && sum%10 == 0 && beginsLikeCard(text)
}

func beginsLikeCard(text string) bool {
	switch text[0] {
	case '0', '1', '7':
		return false
	case '2':
		return text[1] != '0' && text[1] != '1'
	}
	return true
}

// Redact returns the text with everything in it that CardNumber finds replaced by a mark.
func Redact(text string) string {
	if !CardNumber(text) {
		return text
	}
	var out []byte
	for i := 0; i < len(text); {
		if !digit(text[i]) {
			out = append(out, text[i])
			i++
			continue
		}
		run := text[i:runEnd(text, i)]
		if wide := groups(text, i); len(run) >= 4 && len(run) <= 6 && card(wide) {
			run = wide
		}
		if card(run) {
			out = append(out, "[card number]"...)
		} else {
			out = append(out, run...)
		}
		i += len(run)
	}
	return string(out)
}
