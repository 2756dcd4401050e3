package routing

import "math/bits"

// A split deals by waiting times: of channels with parts w, each waits −log₂(u)/w for the payment, u being a hash of payment and
// channel, and who waits least is first. So each is first for exactly its part of the payments, among whichever channels flow
// in, and one that leaves moves no payment of the others.

// logSteps is how many steps of the binary logarithm are tabulated; between them it is taken for a straight line, which is off
// by less than 3·10⁻⁶.
const (
	logSteps    = 256
	logFraction = 57 // bits after the point
)

// logTable holds log₂(1 + i/logSteps). It is made of integers, so that every machine makes the same.
type logTable [logSteps + 1]uint64

func newLogTable() *logTable {
	var t logTable
	for i := 1; i < logSteps; i++ {
		m := uint64(logSteps+i) << (63 - 8) // 1 + i/logSteps, with 63 bits after the point
		for bit := logFraction - 1; bit >= 0; bit-- {
			hi, lo := bits.Mul64(m, m) // 126 bits after the point
			if hi>>63 != 0 {           // at least 2: that is a one in the logarithm
				t[i] |= 1 << bit
				m = hi
			} else {
				m = hi<<1 | lo>>63
			}
		}
	}
	t[logSteps] = 1 << logFraction
	return &t
}

// minusLog2 is −log₂((hash+1)/2⁶⁴), with logFraction bits after the point.
func (t *logTable) minusLog2(hash uint64) uint64 {
	if hash == ^uint64(0) {
		return 0
	}
	hash++
	zeros := bits.LeadingZeros64(hash)
	m := hash << zeros << 1 // what follows the leading one
	at := m >> 56
	step, _ := bits.Mul64(t[at+1]-t[at], m<<8)
	return word(int64(zeros+1))<<logFraction - t[at] - step
}

// wait is the word of a candidate with a part; without one it goes last.
func (t *logTable) wait(hash uint64, part uint32) uint64 {
	if part == 0 {
		return ^uint64(0)
	}
	return t.minusLog2(hash) / uint64(part)
}
