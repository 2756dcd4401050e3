package cli

// pageSize is what is asked for at once, the most the API gives.
const pageSize = 1000

// readAll reads page after page of a list until it has as many entries as asked for (0 = all) or there are no more. read gets one
// page of at most size entries and returns how many came, and the token of the next. What readAll returns is the token of the
// first page that was not read, empty where there is none.
func readAll(most uint32, read func(size uint32, token string) (n int, next string, err error)) (token string, err error) {
	for got := uint32(0); ; {
		size := uint32(pageSize)
		if most > 0 {
			size = min(pageSize, most-got)
		}
		n, next, err := read(size, token)
		if err != nil {
			return "", err
		}
		got, token = got+uint32(n), next //nolint:gosec // at most size
		if token == "" || most > 0 && got >= most {
			return token, nil
		}
	}
}
