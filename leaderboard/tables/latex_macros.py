"""The LaTeX definitions at the top of a file of tables."""

MACROS = r"""
\makeatletter
\providecommand{\boardtables}{}
\newif\ifboard
\newif\ifboardopen
% Floats since the last page break: TeX keeps only so many waiting for a page.
\newcount\board@waiting
% \ifboard is true where the table #1 is asked for.
\def\board@zap#1{\zap@space#1 \@empty}
\def\boardselect#1{%
  \edef\board@list{\expandafter\board@zap\expandafter{\boardtables}}%
  \edef\board@test{\noexpand\in@{,#1,}{,\board@list,}}\board@test
  \ifx\board@list\@empty\boardtrue\else\ifin@\boardtrue\else\boardfalse\fi\fi}
% The character with the code #1, or #2 where the engine or the font lacks it; keeps your own.
\ifdefined\boardchar
\else\ifdefined\Umathcode
  \DeclareRobustCommand\boardchar[2]{\iffontchar\font#1 \char#1 \else#2\fi}
\else
  \DeclareRobustCommand\boardchar[2]{#2}
\fi\fi
% Lines of one cell of a head (aligned at the last one) and of a row (at the first one).
\def\boardhead#1#2{\begin{tabular}[b]{@{}#1@{}}#2\end{tabular}}
\def\boardcell#1#2{\begin{tabular}[t]{@{}#1@{}}#2\end{tabular}}
% A table: \boardbegin{label}{caption}{type size}{line height}, its parts, \boardend{legend}.
\def\boardbegin#1#2#3#4{\par
  \gdef\board@style{\fontsize{#3}{#4}\selectfont\setlength\tabcolsep{3pt}}%
  \gdef\board@title{\caption{#2}\label{#1}}%
  \global\boardopenfalse
  \if@twocolumn
    \board@float{\board@title\par\smallskip}
  \else
    \begingroup\board@style\setlength\LTpre{\medskipamount}\setlength\LTpost{\smallskipamount}%
    \setlength\LTcapwidth{\linewidth}\setcounter{LTchunksize}{1000}%
    \gdef\board@first{\board@title\\[2pt]}%
  \fi}
\long\def\board@float#1{%
  \ifnum\board@waiting>11 \clearpage\global\board@waiting=0 \fi
  \global\advance\board@waiting by 1
  \begin{table*}[!tp]\centering#1\board@style}
\def\board@again{\tablename~\thetable{} (continued)}
% A part: \boardpart{columns}{their number}{head}; \boardnewpart begins a float in two columns.
\def\boardpart#1#2#3{%
  \ifboardopen\expandafter\board@endpart\fi
  \gdef\board@columns{#1}\gdef\board@number{#2}\gdef\board@head{#3}%
  \global\boardopentrue
  \expandafter\board@start\expandafter{\board@columns}}
\def\boardnewpart{\if@twocolumn\expandafter\board@newfloat\fi\boardpart}
\def\board@newfloat{\board@endpart\end{table*}\global\boardopenfalse\board@continued}
\def\board@continued{\board@float{{\board@again\par}\smallskip}}
\def\board@start{\if@twocolumn\expandafter\board@tabular\else\expandafter\board@long\fi}
\def\board@tabular#1{\begin{tabular}{#1}\board@head}
\def\board@long#1{%
  \begin{longtable}{#1}
  \board@first\board@head\endfirsthead
  \multicolumn{\board@number}{c}{\board@again}\\*[2pt]\board@head\endhead
  \midrule\endfoot
  \bottomrule\endlastfoot}
\def\board@endpart{%
  \if@twocolumn\expandafter\board@endtabular\else\expandafter\board@endlong\fi}
\def\board@endtabular{\bottomrule\end{tabular}\par\medskip}
\def\board@endlong{\end{longtable}%
  \addtocounter{table}{-1}%
  \gdef\board@first{\multicolumn{\board@number}{c}{\board@again}\\*[2pt]}}
% Where a float is full: in two columns a new one, with the same columns.
\def\boardbreak{\if@twocolumn\expandafter\board@break\fi}
\def\board@break{%
  \board@endtabular\end{table*}\board@continued
  \expandafter\board@tabular\expandafter{\board@columns}}
\def\boardend#1{%
  \board@endpart
  \noindent\begin{minipage}{\linewidth}\board@style\raggedright#1\end{minipage}\par
  \if@twocolumn\end{table*}\else\addtocounter{table}{1}\endgroup\bigskip\fi}
\makeatother
"""
