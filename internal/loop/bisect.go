package loop

// bisection narrows a failing batch down: window is how many of the next rows are known
// to hold a bad one, 0 outside a search.
type bisection struct{ window int }

func (b *bisection) active() bool { return b.window > 0 }

// size is how many rows to try next: half of the window, or all where there is no search.
func (b *bisection) size(all int) int {
	if b.window == 0 {
		return all
	}
	return max(1, b.window/2)
}

func (b *bisection) failed(rows int) { b.window = rows }
func (b *bisection) passed(rows int) { b.window = max(0, b.window-rows) }
