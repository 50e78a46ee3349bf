module readers

go 1.19
