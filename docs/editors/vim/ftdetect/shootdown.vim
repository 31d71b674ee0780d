au BufRead,BufNewFile *.sd set filetype=shootdown
