module kaas.local/demo

go 1.26
