" Vim without plugins: made for configuration files on a machine that you see for the first time.
" Works with vim.tiny too, which skips everything between `if 1` and `endif`.

set nocompatible
set encoding=utf-8
set backspace=indent,eol,start
set hidden
set ruler
set showcmd
set laststatus=2
set scrolloff=3
set nowrap

" Four blanks for a Tab, unless the file type says otherwise (below)
set expandtab
set tabstop=4
set softtabstop=4
set shiftwidth=4
set autoindent

" A file that changed on the disk is read again if it was not edited here
set autoread

" Commands in a file of somebody else stay text
set nomodeline

if 1
    syntax enable
    filetype plugin indent on
    set background=dark

    " Search while typing; capitals matter only when there are some
    set incsearch hlsearch ignorecase smartcase
    nnoremap <silent> <Space> :nohlsearch<CR>

    " Blanks that nobody sees: tabs and trailing ones
    set list listchars=tab:>-,trail:.,extends:>,precedes:<

    set wildmenu wildmode=longest:full,full
    set splitright splitbelow
    set mouse=
    set statusline=%f\ %m%r%h%w%=%{&fileencoding}\ %{&fileformat}\ %y\ %l:%c\ %P

    " Back to the line where the file was left
    augroup dotfiles
        autocmd!
        autocmd BufReadPost * if line("'\"") >= 1 && line("'\"") <= line("$") && &filetype !~# 'commit' | execute "normal! g`\"" | endif
        autocmd FileType make,gitconfig,go setlocal noexpandtab tabstop=8 softtabstop=0 shiftwidth=8
        autocmd FileType yaml,json,html,css setlocal tabstop=2 softtabstop=2 shiftwidth=2
        autocmd FileType gitcommit setlocal spell textwidth=72
        " Nothing of a secret stays behind: no swap file, no undo file, no register in .viminfo
        autocmd BufNewFile,BufReadPre /dev/shm/*,*.age,*.key,*/private/*,*/.ssh/id_* setlocal noswapfile noundofile | set viminfo=
    augroup END

    " Swap and undo files in one private folder instead of beside every file
    let s:state = expand('~/.vim/state')
    if !isdirectory(s:state)
        silent! call mkdir(s:state, 'p', 0700)
    endif
    set directory=~/.vim/state// nobackup
    if has('persistent_undo')
        set undofile undodir=~/.vim/state
    endif

    if filereadable(expand('~/.vimrc.local'))
        source ~/.vimrc.local
    endif
endif
